"""transfers.csv: the log, one row a transfer, by ``seq``. The database writes the rows, ten times as fast as we could.

Times are UTC; ``business_date`` is the day on which the transfer was posted where the brand keeps its books.
"""

from __future__ import annotations

from typing import TextIO

from ledger import Verb
from service.exports.account_names import by_number
from service.exports.book_at_cut import BookAtCut
from service.exports.spreadsheets import neutral
from service.exports.totals import Totals

COLUMNS = (
    "seq",
    "posted_at",
    "occurred_at",
    "verb",
    "debit",
    "credit",
    "amount",
    "customer",
    "campaign",
    "event_key",
    "transaction_id",
    "due_at",
    "business_date",
)

# An account's name begins with its kind, so it is never a formula.
_ROWS = """
SELECT
    transfer.seq, ledger.rfc3339_v1(transfer.posted_at), ledger.rfc3339_v1(transfer.occurred_at),
    ($4::text[])[transfer.verb],
    ledger.account_name_v1(transfer.debit, $5::text::jsonb), ledger.account_name_v1(transfer.credit, $5::text::jsonb),
    transfer.amount, transfer.customer, coalesce($6::text::jsonb ->> transfer.campaign_no::text, transfer.campaign_no::text),
    encode(transfer.event_key, 'hex'), coalesce(transfer.transaction_id, transfer.seq), ledger.rfc3339_v1(transfer.due_at),
    (transfer.posted_at AT TIME ZONE $7::text)::date
FROM ledger.transfer
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
ORDER BY transfer.seq
"""

_SUMS = """
SELECT
    count(*) AS rows, coalesce(sum(transfer.amount), 0)::bigint AS debits, coalesce(sum(transfer.amount), 0)::bigint AS credits
FROM ledger.transfer
WHERE transfer.book_id = $1 AND transfer.seq > $2 AND transfer.seq <= $3
"""

_VERBS = [verb.name.lower() for verb in sorted(Verb)]


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut."""
    out.buffer.write((",".join(COLUMNS) + "\n").encode())
    names = by_number(book.campaigns)
    cells = by_number({number: neutral(campaign) for number, campaign in book.campaigns.items()})
    return await book.copy(_ROWS, _SUMS, book.log_pages(), (_VERBS, names, cells, book.calendar.time_zone), out)
