"""What was decided and posted, in order: events by key, lists of events newest first, and the feed.

A book has two numbered streams: its transfers by ``seq``; and its decisions that moved no points (events that were refused or
wait) and what became of offers, by ``place``. These also have the head's ``seq`` of their time and come after the transfer of
that number. Both numbers are assigned under the head's lock, so whatever is decided later has a higher one: a reader who keeps
their position in both streams misses nothing and waits for nothing. A waiting event that is decided leaves its place and is a
new entry.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from ledger import chart
from ledger.chart import Kind, OwnerTag
from ledger.read_models import ActFilter, Event, EventName, FeedEntry, HeldBack, Position
from ledger.types import Book, GrantOutcome, OfferNotice, Verb

SCAN_ROWS_MAX = 10_000
"""How much of each stream one page of a list reads, so that looking for a rare event does not read the whole log."""
LOOKED_AT_ONCE = 1_000
"""How many events are read at once to look at their details."""

_ANY_ACT = ActFilter()
_BEGINNING = Position()

_SQL = Path(__file__).with_name("sql")
_BY_KEY = (_SQL / "events_by_key.sql").read_text()
_PAST = (_SQL / "past_events.sql").read_text()
_BEYOND_ALL = "SELECT head.seq + 1 AS seq, head.places + 1 AS place FROM ledger.head WHERE book_id = $1 AND brand_id = $2"
_NEWEST = (_SQL / "newest_events.sql").read_text()
_NEWEST_OF_CUSTOMERS = (_SQL / "newest_events_of_customers.sql").read_text()
_FLOOR = (_SQL / "newest_events_floor.sql").read_text()
_HELD_BACK = (_SQL / "held_back.sql").read_text()
_FLOOR_OF_CUSTOMERS = (_SQL / "newest_events_of_customers_floor.sql").read_text()
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
    act: ActFilter = _ANY_ACT,
    since: Position = _BEGINNING,
    before: Position | None = None,
    limit: int = 100,
) -> tuple[list[Event], Position | None]:
    """A page of events after ``since``, newest first, and where the next one begins; ``None`` at the end.

    No ``customers`` means all customers, no ``outcomes`` all outcomes. A page may have fewer than ``limit`` events, or none,
    and not be the last: it reads ``SCAN_ROWS_MAX`` of each stream, or of each customer's part of it.
    """
    search = _Search(pool, book, tuple(customers), campaign_no, tuple(outcomes) or None, since)
    before = before or await search.beyond_all()
    lowest = await search.lowest(before)
    if act == _ANY_ACT:
        page, following = await search.page(before, lowest, limit)
        return [event for event, _ in page], search.unless_end(following)
    found: list[Event] = []
    while before != lowest:
        page, following = await search.page(before, lowest, LOOKED_AT_ONCE)
        for event, behind in page:
            if act.matches(event):
                found.append(event)
            if len(found) == limit:
                return found, search.unless_end(behind)
        before = following
    return found, search.unless_end(lowest)


class _Search(NamedTuple):
    """Which events are read, newest first, before their details are looked at."""

    pool: asyncpg.Pool[Any]
    book: Book
    customers: tuple[int, ...]
    campaign_no: int | None
    outcomes: tuple[GrantOutcome, ...] | None
    since: Position

    async def beyond_all(self) -> Position:
        head = await self.pool.fetchrow(_BEYOND_ALL, self.book.book_id, self.book.brand_id)
        return Position() if head is None else Position(head["seq"], head["place"])

    async def page(self, before: Position, lowest: Position, limit: int) -> tuple[list[tuple[Event, Position]], Position]:
        """Events down to the lowest, each with where a page behind it begins; and where the next page does."""
        streams = (before.seq, before.place, lowest.seq, lowest.place)
        arguments = (self.book.book_id, self.book.brand_id, *streams, limit + 1, self.campaign_no, self.outcomes)
        if self.customers:
            rows = await self.pool.fetch(_NEWEST_OF_CUSTOMERS, *arguments, self.customers)
        else:
            rows = await self.pool.fetch(_NEWEST, *arguments)
        found: list[tuple[Event, Position]] = []
        for row in rows[:limit]:
            before = Position(row["seq"], before.place) if row["place"] is None else Position(before.seq, row["place"])
            found.append((_event(row), before))
        return found, before if len(rows) > limit else lowest

    def unless_end(self, following: Position) -> Position | None:
        """Where a page begins; ``None`` if nothing is behind it. Both streams begin with 1."""
        is_end = following.seq <= self.since.seq + 1 and following.place <= self.since.place + 1
        return None if is_end else following

    async def lowest(self, before: Position) -> Position:
        """How far down is read."""
        book_id = self.book.book_id
        if self.customers:
            row = await self.pool.fetchrow(
                _FLOOR_OF_CUSTOMERS, book_id, self.customers, before.seq, before.place, SCAN_ROWS_MAX
            )
        else:
            floor = (before.seq - SCAN_ROWS_MAX, before.place, before.place - SCAN_ROWS_MAX)
            row = await self.pool.fetchrow(_FLOOR, book_id, *floor)
        assert row is not None
        return Position(max(self.since.seq + 1, row["seq"]), max(self.since.place + 1, row["place"]))


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
        principal=row["principal"],
    )


def _entry(row: Any, position: Position) -> FeedEntry:
    posted = row["place"] is None
    names = (chart.describe_account(row["debit"]), chart.describe_account(row["credit"])) if posted else ()
    return FeedEntry(
        position=position,
        verb=Verb(row["verb"]) if posted else None,
        outcome=None if row["outcome"] is None or posted else GrantOutcome(row["outcome"]),
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
        notice=None if row["notice"] is None else OfferNotice(row["notice"]),
        offer_group=row["offer_group"],
    )
