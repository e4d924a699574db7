"""accounts.csv: what every account was debited and credited up to the cut, by account id. The database writes the rows."""

from __future__ import annotations

from typing import TextIO

from service.finance.account_names import by_number
from service.finance.book_at_cut import BookAtCut
from service.finance.spreadsheets import neutral
from service.finance.totals import Totals

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

# An account's name begins with its kind, so it is never a formula.
_ROWS = """
SELECT
    ledger.account_name_v1(account.id, $9::text::jsonb), ledger.account_kind_name_v1(account.id),
    ledger.account_class_name_v1(account.id),
    CASE get_byte(account.id, 0) WHEN 1 THEN ledger.account_number_v1(account.id) END,
    CASE get_byte(account.id, 0) WHEN 2 THEN coalesce(
        $10::text::jsonb ->> ledger.account_number_v1(account.id)::text, ledger.account_number_v1(account.id)::text) END,
    CASE get_byte(account.id, 0) WHEN 3 THEN ledger.account_number_v1(account.id) END,
    ledger.account_last_day_v1(account.id), account.debits, account.credits, account.credits - account.debits
FROM ledger.account_sums_v1(
    $1::integer, $2::bigint, $3::bytea, $4::bytea, $5::bigint, $6::bytea[], $7::bigint[], $8::bigint[]
) AS account
ORDER BY account.id
"""

_SUMS = """
SELECT
    count(*) AS rows, coalesce(sum(account.debits), 0)::bigint AS debits, coalesce(sum(account.credits), 0)::bigint AS credits
FROM ledger.account_sums_v1($1, $2, $3, $4, $5, $6, $7, $8) AS account
"""


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write every account that was used up to the cut."""
    out.buffer.write((",".join(COLUMNS) + "\n").encode())
    names = by_number(book.campaigns)
    cells = by_number({number: neutral(campaign) for number, campaign in book.campaigns.items()})
    totals = Totals()
    async for page in book.account_pages():
        totals += await book.copy(_ROWS, _SUMS, page, (names, cells), out)
    return totals
