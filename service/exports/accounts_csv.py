"""accounts.csv: what every account was debited and credited up to the cut, by account id. The database writes the rows."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from service.exports.account_names import by_number
from service.exports.book_at_cut import BookAtCut
from service.exports.spreadsheets import neutral
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
    out.buffer.write((",".join(COLUMNS) + "\n").encode())
    names = by_number(book.campaigns)
    cells = by_number({number: neutral(campaign) for number, campaign in book.campaigns.items()})
    return await book.copy(ROWS, SUMS, book.account_pages(), (names, cells), out)
