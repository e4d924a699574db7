"""What was decided and posted, in order: events by name, lists of events newest first, and the feed of all that happened.

Two streams of a book are numbered: its transfers by ``seq``, and its decisions that moved no points, on what was refused or
waits, by ``place``. Such a decision has the ``seq`` of the head at its time too, and stands behind the transfer of that one.
Both numbers are given out under the head's lock, so whatever is decided later has a higher one: a reader who keeps how far it
has come in both misses nothing, and waits for nothing. What waited and is decided leaves its place and is told anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

from ledger import chart
from ledger.chart import Kind, OwnerTag
from ledger.types import Book, Event, EventName, GrantOutcome, Happening, Position, Verb

SCANNED = 10_000
"""How much of the log one page of a list looks through, so that a rare event does not cost the whole log."""

_TOLD_BY_THE_LOG = frozenset({GrantOutcome.GRANTED, GrantOutcome.HELD_BACK, GrantOutcome.REJECTED})

# What moved points was decided when the transfer of its seq was posted.
_EVENT_COLUMNS = """
    event.campaign_no, event.key, event.customer, event.outcome, event.points, event.seq, event.grade::text AS grade,
    event.window_at,
    coalesce(event.decided_at, (
        SELECT transfer.posted_at FROM ledger.transfer WHERE transfer.book_id = event.book_id AND transfer.seq = event.seq
    )) AS decided_at,
    event.due_at, event.campaign_version, event.action, event.channel, event.message_id,
    coalesce(event.qualifier, '') AS qualifier, event.source, event.metadata
"""

# Whatever the planner knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.
_BY_NAME = f"""
SELECT wanted.place, {_EVENT_COLUMNS}
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bytea[]) WITH ORDINALITY
    AS wanted (book_id, brand_id, campaign_no, key, place)
CROSS JOIN LATERAL (
    SELECT FROM ledger.head WHERE head.book_id = wanted.book_id AND head.brand_id = wanted.brand_id OFFSET 0
) AS head
CROSS JOIN LATERAL (
    SELECT * FROM ledger.event
    WHERE event.book_id = wanted.book_id AND event.campaign_no = wanted.campaign_no AND event.key = wanted.key
    OFFSET 0
) AS event
"""

_PAST = f"""
SELECT {_EVENT_COLUMNS}
FROM ledger.head
CROSS JOIN unnest($5::bigint[], $6::bytea[]) AS wanted (other, key)
CROSS JOIN LATERAL (
    SELECT * FROM ledger.event
    WHERE event.book_id = head.book_id AND event.campaign_no = $3 AND event.key = wanted.key
    OFFSET 0
) AS event
WHERE head.book_id = $1 AND head.brand_id = $2
    AND ledger.were_one_v1(head.book_id, $4, wanted.other, event.seq, event.place)
"""

_BEYOND_ALL = "SELECT head.seq + 1 AS seq, head.places + 1 AS place FROM ledger.head WHERE book_id = $1 AND brand_id = $2"

# How far down a page looks: not below $2 and $4, and in both streams to the same point in time. What is as old as the first
# decision that is left out is left out too.
_LOWEST = """
WITH lowest AS (
    SELECT greatest(
        $2::bigint,
        (
            SELECT event.seq + 1
            FROM ledger.event
            WHERE event.book_id = $1 AND event.place < $4
            ORDER BY event.place DESC
            LIMIT 1
        )
    ) AS seq
)
SELECT
    lowest.seq,
    coalesce(
        (
            SELECT event.place + 1
            FROM ledger.event
            WHERE event.book_id = $1 AND event.place < $3 AND event.place >= $4 AND event.seq + 1 < lowest.seq
            ORDER BY event.place DESC
            LIMIT 1
        ),
        $4::bigint
    ) AS place
FROM lowest
"""

# The conditions in braces are constants of this module, present only where they are asked for: each list has a plan of its own.
# Events are looked up one by one (LIMIT 1, or for an outcome as a value): a plain join would let the planner read them all.
_EVENTS = """
WITH found AS (
    SELECT told.seq, NULL::bigint AS place, told.campaign_no, told.key
    FROM {of_each_customer} (
        SELECT transfer.seq, transfer.campaign_no, transfer.event_key AS key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq < $3 AND transfer.seq >= $5 AND {transfer_told}
            {transfer_customer} {transfer_campaign}
        ORDER BY transfer.seq DESC
        LIMIT $7
    ) AS told
    UNION ALL
    SELECT told.seq, told.place, told.campaign_no, told.key
    FROM {of_each_customer} (
        SELECT event.seq, event.place, event.campaign_no, event.key
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place < $4 AND event.place >= $6 AND {event_told}
            {event_customer} {event_campaign}
        ORDER BY event.place DESC
        LIMIT $7
    ) AS told
)
SELECT found.place, event.*
FROM found
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT {columns}
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = found.campaign_no AND event.key = found.key
    LIMIT 1
) AS event
ORDER BY found.seq DESC, found.place DESC NULLS LAST
LIMIT $7
"""

_OF_EACH_CUSTOMER = "unnest($8::bigint[]) AS one (customer) CROSS JOIN LATERAL"

_OUTCOME_HELD_BACK = """
(
    SELECT event.outcome
    FROM ledger.event
    WHERE event.book_id = transfer.book_id AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
)
"""

# One statement, so one snapshot: both streams are seen up to the same commit.
_FEED = """
WITH found AS (
    (
        SELECT transfer.seq, NULL::bigint AS place, transfer.campaign_no, transfer.event_key AS key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.customer IS NOT NULL
        ORDER BY transfer.seq
        LIMIT $5
    )
    UNION ALL
    (
        SELECT event.seq, event.place, event.campaign_no, event.key
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place > $4
        ORDER BY event.place
        LIMIT $5
    )
)
SELECT
    found.seq, found.place, found.campaign_no, found.key,
    transfer.posted_at, transfer.verb, transfer.amount, transfer.customer AS transfer_customer, transfer.transaction_id,
    transfer.debit, transfer.credit,
    event.outcome, event.customer AS event_customer, event.decided_at, event.action, event.channel, event.message_id
FROM found
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN LATERAL (
    SELECT
        transfer.posted_at, transfer.verb, transfer.amount, transfer.customer, transfer.debit, transfer.credit,
        coalesce(transfer.transaction_id, transfer.seq) AS transaction_id
    FROM ledger.transfer
    WHERE found.place IS NULL AND transfer.book_id = $1 AND transfer.seq = found.seq
    LIMIT 1
) AS transfer ON true
LEFT JOIN LATERAL (
    SELECT event.outcome, event.customer, event.decided_at, event.action, event.channel, event.message_id
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = found.campaign_no AND event.key = found.key
    LIMIT 1
) AS event ON true
ORDER BY found.seq, found.place NULLS FIRST
LIMIT $5
"""


async def events(pool: asyncpg.Pool[Any], names: Sequence[EventName]) -> dict[EventName, Event]:
    """What was reported and decided under each of ``names``, of any books, where something was."""
    rows = await pool.fetch(
        _BY_NAME,
        [book.book_id for book, _, _ in names],
        [book.brand_id for book, _, _ in names],
        [campaign_no for _, campaign_no, _ in names],
        [key for _, _, key in names],
    )
    return {names[row["place"] - 1]: _event(row) for row in rows}


async def past_events(
    pool: asyncpg.Pool[Any], book: Book, campaign_no: int, customer: int, past_keys: Sequence[tuple[int, bytes]]
) -> list[Event]:
    """What was decided under keys of numbers that ``customer`` was one with once, each with that number, while she was."""
    others, keys = [other for other, _ in past_keys], [key for _, key in past_keys]
    return [_event(row) for row in await pool.fetch(_PAST, book.book_id, book.brand_id, campaign_no, customer, others, keys)]


async def find_events(
    pool: asyncpg.Pool[Any],
    book: Book,
    *,
    customers: Sequence[int] = (),
    campaign_no: int | None = None,
    outcomes: Sequence[GrantOutcome] = (),
    before: Position | None = None,
    limit: int = 100,
) -> tuple[list[Event], Position | None]:
    """A page of events, newest first, and where the next one begins; ``None`` at the end.

    No ``customers`` are everybody, no ``outcomes`` are all. A page may hold fewer than ``limit``, or none, and not be the last:
    without ``customers`` it looks through ``SCANNED`` of each stream.
    """
    if before is None:
        head = await pool.fetchrow(_BEYOND_ALL, book.book_id, book.brand_id)
        before = Position() if head is None else Position(head["seq"], head["place"])
    lowest = Position() if customers else await _lowest(pool, book, before)
    arguments = (book.book_id, book.brand_id, before.seq, before.place, lowest.seq, lowest.place, limit + 1)
    rows = await pool.fetch(
        _EVENTS.format(
            columns=_EVENT_COLUMNS,
            transfer_told=_transfer_told(outcomes),
            event_told="true" if not outcomes else f"event.outcome IN ({_numbers(outcomes)})",
            of_each_customer=_OF_EACH_CUSTOMER if customers else "",
            transfer_customer="AND transfer.customer = one.customer" if customers else "",
            event_customer="AND event.customer = one.customer" if customers else "",
            transfer_campaign="" if campaign_no is None else f"AND transfer.campaign_no = {int(campaign_no)}",
            event_campaign="" if campaign_no is None else f"AND event.campaign_no = {int(campaign_no)}",
        ),
        *arguments,
        *([list(customers)] if customers else []),
    )
    for row in rows[:limit]:
        before = Position(row["seq"], before.place) if row["place"] is None else Position(before.seq, row["place"])
    if len(rows) <= limit:
        before = lowest
    # Both streams begin with 1.
    return [_event(row) for row in rows[:limit]], before if max(before.seq, before.place) > 1 else None


async def happenings(pool: asyncpg.Pool[Any], book: Book, *, after: Position, limit: int = 100) -> list[Happening]:
    """The feed: what happened to customers behind ``after``, oldest first. Whatever comes later comes behind it."""
    rows = await pool.fetch(_FEED, book.book_id, book.brand_id, after.seq, after.place, limit)
    found: list[Happening] = []
    for row in rows:
        after = Position(row["seq"], after.place if row["place"] is None else row["place"])
        found.append(_happening(row, after))
    return found


async def _lowest(pool: asyncpg.Pool[Any], book: Book, before: Position) -> Position:
    row = await pool.fetchrow(_LOWEST, book.book_id, before.seq - SCANNED, before.place, before.place - SCANNED)
    assert row is not None
    return Position(max(0, row["seq"]), max(0, row["place"]))


def _transfer_told(outcomes: Sequence[GrantOutcome]) -> str:
    """Which transfers of the log stand for an event: grants, and points held back, which may be granted or rejected since."""
    if not outcomes:
        return f"transfer.verb IN ({Verb.GRANT:d}, {Verb.HOLD_BACK:d})"
    told = _TOLD_BY_THE_LOG.intersection(outcomes)
    if not told:
        return "false"
    held_back = f"transfer.verb = {Verb.HOLD_BACK:d} AND {_OUTCOME_HELD_BACK} IN ({_numbers(told)})"
    return f"(transfer.verb = {Verb.GRANT:d} OR {held_back})" if GrantOutcome.GRANTED in told else f"({held_back})"


def _numbers(outcomes: Iterable[GrantOutcome]) -> str:
    return ", ".join(str(int(each)) for each in outcomes)


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


def _happening(row: Any, position: Position) -> Happening:
    posted = row["place"] is None
    names = (chart.describe_account(row["debit"]), chart.describe_account(row["credit"])) if posted else ()
    return Happening(
        position=position,
        verb=Verb(row["verb"]) if posted else None,
        outcome=None if posted else GrantOutcome(row["outcome"]),
        at=row["posted_at"] if posted else row["decided_at"],
        customer=row["transfer_customer"] if posted else row["event_customer"],
        points=row["amount"] if posted else 0,
        balance_change=sum(row["amount"] * sign for name, sign in zip(names, (-1, 1), strict=False) if name.kind is Kind.LOT),
        transaction_id=row["transaction_id"],
        campaign_no=row["campaign_no"],
        key=row["key"],
        redemption=next((name.number for name in names if name.owner is OwnerTag.REDEMPTION), None),
        action=row["action"],
        channel=row["channel"],
        message_id=row["message_id"],
    )
