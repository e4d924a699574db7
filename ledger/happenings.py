"""What was decided and posted, in order: one event, lists of events newest first, and the feed of all that happened.

A place in that order is a ``Position``. A transfer's is its ``seq``. An event that moved no points (refused, or waiting) has
the ``seq`` of the head at its decision, which others share and which comes up again as long as the head stays there. So such
events stand behind the transfer of that ``seq``, by campaign and key, and the feed tells them once the head has gone on: then
no other can come in between, because every decision is made under the head's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from ledger import chart
from ledger.chart import OwnerTag
from ledger.types import Book, Event, GrantOutcome, Happening, Position, Verb

SCANNED = 10_000
"""How much of the log one page of a list looks through, so that a rare event does not cost the whole log."""

_EVENT_COLUMNS = """
    event.campaign_no, event.key, event.customer, event.outcome, event.points, event.seq, event.grade::text AS grade,
    event.window_at, event.decided_at, event.due_at, event.campaign_version, event.action, event.channel, event.message_id,
    event.qualifier, event.source, event.metadata
"""

_EVENT = f"""
SELECT {_EVENT_COLUMNS}
FROM ledger.event
JOIN ledger.head ON head.book_id = event.book_id AND head.brand_id = $2
WHERE event.book_id = $1 AND event.campaign_no = $3 AND event.key = $4
"""

_HEAD_SEQ = "SELECT seq FROM ledger.head WHERE book_id = $1 AND brand_id = $2"

# The conditions in braces are constants of this module, present only where they are asked for: each list has a plan of its own.
_EVENTS = """
WITH found AS (
    (
        SELECT transfer.seq, false AS unpaid, transfer.campaign_no, transfer.event_key AS key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.verb = 2 AND transfer.seq <= $3 AND transfer.seq > $7
            AND {granted} {transfer_customer} {transfer_campaign}
        ORDER BY transfer.seq DESC
        LIMIT $8
    )
    UNION ALL
    (
        SELECT event.seq, true, event.campaign_no, event.key
        FROM ledger.event
        WHERE event.book_id = $1 AND event.outcome <> 1 AND event.seq > $7
            AND (event.seq, event.campaign_no, event.key) < ($4, $5, $6)
            AND {unpaid} {event_customer} {event_campaign}
        ORDER BY event.seq DESC, event.campaign_no DESC, event.key DESC
        LIMIT $8
    )
)
SELECT {columns}
FROM found
JOIN ledger.event ON event.book_id = $1 AND event.campaign_no = found.campaign_no AND event.key = found.key
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE $9::bigint IS NULL OR event.customer = $9
ORDER BY found.seq DESC, found.unpaid DESC, found.campaign_no DESC, found.key DESC
LIMIT $8
"""

# One statement, so one snapshot: what it sees of the head is what it sees of the events.
_FEED = """
WITH found AS (
    (
        SELECT transfer.seq, false AS unpaid, transfer.campaign_no, transfer.event_key AS key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.customer IS NOT NULL
        ORDER BY transfer.seq
        LIMIT $6
    )
    UNION ALL
    (
        SELECT event.seq, true, event.campaign_no, event.key
        FROM ledger.event
        WHERE event.book_id = $1 AND event.outcome <> 1
            AND (event.seq, event.campaign_no, event.key) > ($3, $4, $5)
            AND event.seq < (SELECT head.seq FROM ledger.head WHERE head.book_id = $1)
        ORDER BY event.seq, event.campaign_no, event.key
        LIMIT $6
    )
)
SELECT
    found.seq, found.unpaid, found.campaign_no, found.key,
    transfer.posted_at, transfer.verb, transfer.amount, transfer.customer AS transfer_customer, transfer.transaction_id,
    transfer.debit, transfer.credit,
    event.outcome, event.customer AS event_customer, event.decided_at, event.action, event.channel, event.message_id
FROM found
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN ledger.transfer ON NOT found.unpaid AND transfer.book_id = $1 AND transfer.seq = found.seq
LEFT JOIN ledger.event ON event.book_id = $1 AND event.campaign_no = found.campaign_no AND event.key = found.key
ORDER BY found.seq, found.unpaid, found.campaign_no, found.key
LIMIT $6
"""


async def event(pool: asyncpg.Pool[Any], book: Book, campaign_no: int, key: bytes) -> Event | None:
    """What was reported and decided under a key."""
    row = await pool.fetchrow(_EVENT, book.book_id, book.brand_id, campaign_no, key)
    return None if row is None else _event(row)


async def find_events(
    pool: asyncpg.Pool[Any],
    book: Book,
    *,
    customer: int | None = None,
    campaign_no: int | None = None,
    outcomes: Sequence[GrantOutcome] = (),
    before: Position | None = None,
    limit: int = 100,
) -> tuple[list[Event], Position | None]:
    """A page of events, newest first, and where the next one begins; ``None`` at the end. No ``outcomes`` are all.

    A page may hold fewer than ``limit``, or none, and not be the last: it looks through ``SCANNED`` of the log.
    """
    if before is None:
        head = await pool.fetchval(_HEAD_SEQ, book.book_id, book.brand_id)
        before = Position((head or 0) + 1)
    lowest = -1 if customer is not None else max(-1, before.seq - SCANNED)
    statement = _EVENTS.format(
        columns=_EVENT_COLUMNS,
        granted="true" if not outcomes or GrantOutcome.GRANTED in outcomes else "false",
        unpaid=f"event.outcome IN ({', '.join(str(int(each)) for each in outcomes)})" if outcomes else "true",
        transfer_customer="" if customer is None else "AND transfer.customer = $9",
        event_customer="" if customer is None else "AND event.customer = $9",
        transfer_campaign="" if campaign_no is None else f"AND transfer.campaign_no = {int(campaign_no)}",
        event_campaign="" if campaign_no is None else f"AND event.campaign_no = {int(campaign_no)}",
    )
    rows = await pool.fetch(
        statement,
        book.book_id,
        book.brand_id,
        before.seq if before.is_event else before.seq - 1,
        before.seq,
        before.campaign_no,
        before.key,
        lowest,
        limit + 1,
        customer,
    )
    events = [_event(row) for row in rows[:limit]]
    if len(rows) > limit:
        return events, events[-1].position
    return events, Position(lowest + 1) if lowest > -1 else None


async def happenings(pool: asyncpg.Pool[Any], book: Book, *, after: Position, limit: int = 100) -> list[Happening]:
    """The feed: what happened to customers behind ``after``, oldest first. Whatever comes later comes behind it."""
    rows = await pool.fetch(_FEED, book.book_id, book.brand_id, after.seq, after.campaign_no, after.key, limit)
    return [_happening(row) for row in rows]


def _event(row: Any) -> Event:
    return Event(
        campaign_no=row["campaign_no"],
        key=row["key"],
        customer=row["customer"],
        outcome=GrantOutcome(row["outcome"]),
        points=row["points"],
        seq=row["seq"],
        grade=row["grade"],
        window_at=row["window_at"],
        decided_at=row["decided_at"],
        due_at=row["due_at"],
        campaign_version=row["campaign_version"],
        action=row["action"],
        channel=row["channel"],
        message_id=row["message_id"],
        qualifier=row["qualifier"],
        source=row["source"],
        metadata=row["metadata"],
    )


def _happening(row: Any) -> Happening:
    unpaid = row["unpaid"]
    names = () if unpaid else (chart.describe_account(row["debit"]), chart.describe_account(row["credit"]))
    return Happening(
        position=Position(row["seq"], row["campaign_no"], row["key"]) if unpaid else Position(row["seq"]),
        verb=None if unpaid else Verb(row["verb"]),
        outcome=GrantOutcome(row["outcome"]) if unpaid else None,
        at=row["decided_at"] if unpaid else row["posted_at"],
        customer=row["event_customer"] if unpaid else row["transfer_customer"],
        points=0 if unpaid else row["amount"],
        transaction_id=row["transaction_id"],
        campaign_no=row["campaign_no"],
        key=row["key"],
        redemption=next((name.number for name in names if name.owner is OwnerTag.REDEMPTION), None),
        action=row["action"],
        channel=row["channel"],
        message_id=row["message_id"],
    )
