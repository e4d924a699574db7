"""What was decided and posted, in order: events by key, lists of events newest first, and the feed.

A book has two numbered streams: its transfers by ``seq``, and its decisions that moved no points (events that were refused or
wait) by ``place``. Such a decision also has the head's ``seq`` of its time and comes after the transfer of that number. Both
numbers are assigned under the head's lock, so whatever is decided later has a higher one: a reader who keeps their position in
both streams misses nothing and waits for nothing. A waiting event that is decided leaves its place and is a new entry.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from ledger import chart
from ledger.chart import Kind, OwnerTag
from ledger.read_models import Event, EventName, FeedEntry, HeldBack, Position
from ledger.types import Book, GrantOutcome, Verb

SCAN_ROWS_MAX = 10_000
"""How much of each stream one page of a list reads, so that looking for a rare event does not read the whole log."""

_SQL = Path(__file__).with_name("sql")
_BY_KEY = (_SQL / "events_by_key.sql").read_text()
_PAST = (_SQL / "past_events.sql").read_text()
_BEYOND_ALL = "SELECT head.seq + 1 AS seq, head.places + 1 AS place FROM ledger.head WHERE book_id = $1 AND brand_id = $2"
_NEWEST = (_SQL / "newest_events.sql").read_text()
_NEWEST_OF_CUSTOMERS = (_SQL / "newest_events_of_customers.sql").read_text()
_FLOOR = (_SQL / "newest_events_floor.sql").read_text()
_HELD_BACK = (_SQL / "held_back.sql").read_text()
_FEED = (_SQL / "feed.sql").read_text()


async def events(pool: asyncpg.Pool[Any], names: Sequence[EventName]) -> dict[EventName, Event]:
    """What was reported and decided under each of ``names``, of any books. Unreported ones are left out."""
    rows = await pool.fetch(
        _BY_KEY,
        [book.book_id for book, _, _ in names],
        [book.brand_id for book, _, _ in names],
        [campaign_no for _, campaign_no, _ in names],
        [key for _, _, key in names],
    )
    return {names[row["place"] - 1]: _event(row) for row in rows}


async def past_events(
    pool: asyncpg.Pool[Any], book: Book, campaign_no: int, customer: int, past_keys: Sequence[tuple[int, bytes]]
) -> list[Event]:
    """Events under keys of other numbers, each decided while ``customer`` was merged with that number."""
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

    No ``customers`` means all customers, no ``outcomes`` all outcomes. A page may have fewer than ``limit`` events, or none,
    and not be the last: without ``customers`` it reads ``SCAN_ROWS_MAX`` of each stream.
    """
    if before is None:
        head = await pool.fetchrow(_BEYOND_ALL, book.book_id, book.brand_id)
        before = Position() if head is None else Position(head["seq"], head["place"])
    lowest = Position() if customers else await _lowest(pool, book, before)
    streams = (before.seq, before.place, lowest.seq, lowest.place)
    arguments = (book.book_id, book.brand_id, *streams, limit + 1, campaign_no, list(outcomes) or None)
    if customers:
        rows = await pool.fetch(_NEWEST_OF_CUSTOMERS, *arguments, list(customers))
    else:
        rows = await pool.fetch(_NEWEST, *arguments)
    for row in rows[:limit]:
        before = Position(row["seq"], before.place) if row["place"] is None else Position(before.seq, row["place"])
    if len(rows) <= limit:
        before = lowest
    # Both streams begin with 1.
    return [_event(row) for row in rows[:limit]], before if max(before.seq, before.place) > 1 else None


async def held_back(
    pool: asyncpg.Pool[Any], book: Book, customers: Collection[int], *, after: HeldBack | None = None, limit: int = 100
) -> list[HeldBack]:
    """What is held back for ``customers`` by number and key, from the one after ``after`` on."""
    place = (0, b"") if after is None else (after.customer, after.key)
    return [HeldBack(**row) for row in await pool.fetch(_HELD_BACK, book.book_id, list(customers), *place, limit)]


async def feed(pool: asyncpg.Pool[Any], book: Book, *, after: Position, limit: int = 100) -> list[FeedEntry]:
    """What happened to customers after a position, oldest first. Whatever happens later comes later."""
    rows = await pool.fetch(_FEED, book.book_id, book.brand_id, after.seq, after.place, limit)
    found: list[FeedEntry] = []
    for row in rows:
        after = Position(row["seq"], after.place if row["place"] is None else row["place"])
        found.append(_entry(row, after))
    return found


async def feed_end(pool: asyncpg.Pool[Any], book: Book) -> Position:
    """The position of a reader who has read everything."""
    row = await pool.fetchrow(_BEYOND_ALL, book.book_id, book.brand_id)
    return Position() if row is None else Position(row["seq"] - 1, row["place"] - 1)


async def _lowest(pool: asyncpg.Pool[Any], book: Book, before: Position) -> Position:
    row = await pool.fetchrow(_FLOOR, book.book_id, before.seq - SCAN_ROWS_MAX, before.place, before.place - SCAN_ROWS_MAX)
    assert row is not None
    return Position(max(0, row["seq"]), max(0, row["place"]))


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


def _entry(row: Any, position: Position) -> FeedEntry:
    posted = row["place"] is None
    names = (chart.describe_account(row["debit"]), chart.describe_account(row["credit"])) if posted else ()
    return FeedEntry(
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
