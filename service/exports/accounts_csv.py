"""accounts.csv: what every account was debited and credited up to the cut, by account id."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals

COLUMNS = (
    "account",
    "kind",
    "class",
    "customer",
    "campaign",
    "redemption",
    "expires_on",
    "debits",
    "credits",
    "balance",
)

_SQL = Path(__file__).with_name("sql")
ROWS = (_SQL / "accounts_csv.sql").read_text()

SUMS = """
SELECT
    count(*) AS rows, coalesce(sum(account.debits), 0)::bigint AS debits, coalesce(sum(account.credits), 0)::bigint AS credits
FROM ledger.account_sums_v1($1, $2, $3, $4, $5, $6, $7, $8) AS account
"""


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write every account that was used up to the cut."""
    from service.exports.arrow import accounts, csv_lines

    return await csv_lines.write(COLUMNS, book, accounts.pages, out)
