"""accounts.csv: what every account was debited and credited up to the cut, by account id. The database writes the rows."""

from __future__ import annotations

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

# By id, as ``account_sums_v1`` returns them. The parts are what ``account_name_v1`` puts together. A name begins with its kind,
# so it is never a formula.
_ROWS = """
SELECT
    concat_ws(':', part.kind, part.owner, part.class, part.last_day), part.kind, part.class,
    CASE part.tag WHEN 1 THEN part.owner END,
    CASE part.tag WHEN 2 THEN coalesce($10::text::jsonb ->> part.number::text, part.owner) END,
    CASE part.tag WHEN 3 THEN part.owner END,
    part.last_day, part.debits, part.credits, part.credits - part.debits
FROM (
    SELECT
        account.debits, account.credits, account.tag, account.number,
        CASE account.tag
            WHEN 0 THEN NULL
            WHEN 2 THEN coalesce($9::text::jsonb ->> account.number::text, account.number::text)
            ELSE account.number::text
        END AS owner,
        ledger.account_kind_name_v1(account.id) AS kind, ledger.account_class_name_v1(account.id) AS class,
        ledger.account_last_day_v1(account.id) AS last_day
    FROM (
        SELECT
            sums.id, sums.debits, sums.credits, get_byte(sums.id, 0) AS tag, ledger.account_number_v1(sums.id) AS number
        FROM ledger.account_sums_v1(
            $1::integer, $2::bigint, $3::bytea, $4::bytea, $5::bigint, $6::bytea[], $7::bigint[], $8::bigint[]
        ) AS sums
        OFFSET 0  -- so that each part is computed once
    ) AS account
    OFFSET 0
) AS part
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
    return await book.copy(_ROWS, _SUMS, book.account_pages(), (names, cells), out)
