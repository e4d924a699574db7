"""How much of a customer's attention was asked for of late: which messages she was reported on, and what they earned her.

    reach       how far back a span of time goes in a book: one statement, once for any number of customers
    attention   what lies within it of each of many customers, in one statement
    responders  whose acts lie within it, in one statement

A book's transfers are in the order of their times, and so are its decisions that moved no points. So where a span begins is
found by halving (some twenty looks at a book of a million transfers), and of each customer only what lies within is read,
newest first, and of that at most ``LOOKED_AT_MAX`` transfers and as many decisions. Nothing is kept for it, and nobody waits.

A report counts when it was decided, for it is then that it is in the book: what waited and was paid later counts then. Points
that were held back are earned when they mature.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg

from ledger.errors import BookRefused
from ledger.types import Attention, Book, Reach, Responders, Sighting, Verb

LOOKED_AT_MAX = 1_000
"""So many of a customer's transfers are looked at, and of her decisions that moved no points; what is older is left out."""

# All below ``low`` is older than the span, all from ``high`` on lies within it.
_REACH = """
WITH RECURSIVE reading AS (
    SELECT now.at, now.at - $3::interval AS since, head.seq, head.places
    FROM ledger.head
    CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS now
    WHERE head.book_id = $1 AND head.brand_id = $2
), of_transfers (low, high) AS (
    SELECT 1::bigint, reading.seq + 1 FROM reading
    UNION ALL
    SELECT
        CASE WHEN first.posted_at <= reading.since THEN first.seq + 1 ELSE half.low END,
        CASE WHEN first.posted_at <= reading.since THEN half.high ELSE half.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM of_transfers WHERE low < high) AS half
    CROSS JOIN reading
    LEFT JOIN LATERAL (
        SELECT transfer.seq, transfer.posted_at
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq >= half.middle AND transfer.seq < half.high
        ORDER BY transfer.seq
        LIMIT 1
    ) AS first ON true
), of_decisions (low, high) AS (
    SELECT 1::bigint, reading.places + 1 FROM reading
    UNION ALL
    SELECT
        CASE WHEN first.decided_at <= reading.since THEN first.place + 1 ELSE half.low END,
        CASE WHEN first.decided_at <= reading.since THEN half.high ELSE half.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM of_decisions WHERE low < high) AS half
    CROSS JOIN reading
    LEFT JOIN LATERAL (
        SELECT event.place, event.decided_at
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place >= half.middle AND event.place < half.high
        ORDER BY event.place
        LIMIT 1
    ) AS first ON true
)
SELECT
    reading.since, reading.at AS until,
    (SELECT of_transfers.low FROM of_transfers WHERE of_transfers.low = of_transfers.high) AS seq,
    (SELECT of_decisions.low FROM of_decisions WHERE of_decisions.low = of_decisions.high) AS place
FROM reading
"""

_REPORTED = f"{Verb.GRANT:d}, {Verb.HOLD_BACK:d}"
_EARNED = f"{Verb.GRANT:d}, {Verb.MATURE:d}"

# Each customer's rows are read by index, newest first, and each event is looked up by its key: LIMIT keeps the planner to it.
_ATTENTION = f"""
SELECT
    wanted.n, told.channel, told.message_id,
    max(told.at) FILTER (WHERE told.reported) AS reported_at,
    count(*) FILTER (WHERE told.earned) AS rewards,
    coalesce(sum(told.points) FILTER (WHERE told.earned), 0)::bigint AS points,
    max(told.at) FILTER (WHERE told.earned) AS rewarded_at,
    max(told.looked_at) AS looked_at
FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (customer, n)
CROSS JOIN LATERAL (
    SELECT
        event.channel, event.message_id, moved.posted_at AS at, moved.verb IN ({_REPORTED}) AS reported,
        moved.verb IN ({_EARNED}) AS earned, moved.amount AS points, moved.looked_at
    FROM (
        SELECT newest.*, count(*) OVER () AS looked_at
        FROM (
            SELECT transfer.posted_at, transfer.verb, transfer.amount, transfer.campaign_no, transfer.event_key
            FROM ledger.transfer
            WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq >= $3
            ORDER BY transfer.seq DESC
            LIMIT $5
        ) AS newest
    ) AS moved
    LEFT JOIN LATERAL (
        SELECT event.channel, event.message_id
        FROM ledger.event
        WHERE event.book_id = $1 AND event.campaign_no = moved.campaign_no AND event.key = moved.event_key
            AND moved.verb IN ({_REPORTED}, {_EARNED})
        LIMIT 1
    ) AS event ON true
    UNION ALL
    SELECT decided.channel, decided.message_id, decided.decided_at, true, false, 0, count(*) OVER ()
    FROM (
        SELECT event.channel, event.message_id, event.decided_at
        FROM ledger.event
        WHERE event.book_id = $1 AND event.customer = wanted.customer AND event.place >= $4
        ORDER BY event.place DESC
        LIMIT $5
    ) AS decided
) AS told
GROUP BY wanted.n, told.channel, told.message_id
"""

ACTS_LOOKED_AT_MAX = 200_000
"""So many of a book's grants are looked at for who responds, and of its decisions that moved no points."""

_RESPONDERS = f"""
SELECT
    coalesce(array_agg(DISTINCT told.customer), '{{}}') AS acted,
    coalesce(array_agg(DISTINCT told.customer) FILTER (WHERE told.grade IN ('A', 'B')), '{{}}') AS proved,
    count(*) FILTER (WHERE told.moved) AS moved, count(*) FILTER (WHERE NOT told.moved) AS decided
FROM (
    SELECT event.customer, event.grade, true AS moved
    FROM (
        SELECT transfer.campaign_no, transfer.event_key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq >= $2 AND transfer.verb IN ({_REPORTED})
        ORDER BY transfer.seq DESC
        LIMIT $4
    ) AS newest
    CROSS JOIN LATERAL (
        SELECT event.customer, event.grade
        FROM ledger.event
        WHERE event.book_id = $1 AND event.campaign_no = newest.campaign_no AND event.key = newest.event_key
        LIMIT 1
    ) AS event
    UNION ALL
    SELECT decided.customer, decided.grade, false
    FROM (
        SELECT event.customer, event.grade
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place >= $3
        ORDER BY event.place DESC
        LIMIT $4
    ) AS decided
) AS told
"""


async def responders(pool: asyncpg.Pool[Any], within: Reach) -> Responders:
    """Whose acts lie ``within``, and of whom it is proved that they are persons."""
    row: Any = await pool.fetchrow(_RESPONDERS, within.book.book_id, within.seq, within.place, ACTS_LOOKED_AT_MAX)
    return Responders(
        acted=frozenset(row["acted"]),
        proved=frozenset(row["proved"]),
        complete=max(row["moved"], row["decided"]) < ACTS_LOOKED_AT_MAX,
    )


async def reach(pool: asyncpg.Pool[Any], book: Book, span: timedelta) -> Reach:
    """How far back a span of time goes, from now on by the book's clock: what is exactly as old does not lie within."""
    row = await pool.fetchrow(_REACH, book.book_id, book.brand_id, span)
    if row is None:
        raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
    return Reach(book=book, since=row["since"], until=row["until"], seq=row["seq"], place=row["place"])


async def attention(pool: asyncpg.Pool[Any], within: Reach, customers: Sequence[int]) -> list[Attention]:
    """What lies ``within`` of each of ``customers``, in order. Who was merged into another has her own past; ask for both."""
    rows: list[Any] = await pool.fetch(_ATTENTION, within.book.book_id, customers, within.seq, within.place, LOOKED_AT_MAX)
    sightings: dict[int, list[Sighting]] = {n: [] for n, _ in enumerate(customers, 1)}
    cut: set[int] = set()
    for n, channel, message_id, reported_at, rewards, points, rewarded_at, looked_at in rows:
        if looked_at >= LOOKED_AT_MAX:
            cut.add(n)
        # What has no channel is no report: a redemption, say.
        if channel is not None:
            sightings[n].append(Sighting(channel, message_id, reported_at, rewards, points, rewarded_at))
    return [Attention(tuple(seen), complete=n not in cut) for n, seen in sightings.items()]
