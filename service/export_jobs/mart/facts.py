"""The files of a business date: three tables of facts and two of what they name, which docs/data-mart.md describes.

Transfers are those that count on the day, events those that were decided on it, links those that were minted. Each is read a
page at a time, in statements of its own.
"""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import asyncpg
import pyarrow as pa
import pyarrow.compute as pc

from ledger import GrantOutcome
from service.exports.account_names import by_number
from service.exports.arrow import parquet
from service.exports.arrow.beside import in_thread
from service.exports.book_at_cut import BookAtCut
from service.exports.bundle import Counts, Writer
from service.exports.totals import Totals
from service.exports.transfer_details import Days

LINKS_AT_ONCE = 20_000
EVENTS_AT_ONCE = 5_000
CUSTOMERS_AT_ONCE = 200_000
_MINUTE = timedelta(minutes=1)
_QUIET = timedelta(minutes=16)
"""No further is looked at once: as many links may be in it as are minted in that time."""
_CLOCK_CHANGES = timedelta(hours=3)
"""How far a day may begin from where it seems to."""
_BOUNDS = "SELECT $1::date::timestamp AT TIME ZONE $2::text, ($1::date + 1)::timestamp AT TIME ZONE $2::text"
_NO_LINK = b""

_SQL = Path(__file__).with_name("sql")
_PAID = (_SQL / "paid_events.sql").read_text()
_UNPAID = (_SQL / "unpaid_events.sql").read_text()
_LINKS = (_SQL / "links.sql").read_text()
_CAMPAIGNS = (_SQL / "campaigns.sql").read_text()
_CUSTOMERS = (_SQL / "customers.sql").read_text()
_UNPAID_CUSTOMERS = (_SQL / "unpaid_customers.sql").read_text()

_OUTCOMES = [GrantOutcome(number).name.lower() for number in sorted(GrantOutcome)]
"""By their numbers, which begin with 1 and have no holes; a test compares."""

_TEXT, _LONG, _INT, _DAY, _TIME = pa.string(), pa.int64(), pa.int32(), pa.date32(), pa.timestamp("us", "UTC")

TRANSFER = pa.schema([("business_date", _DAY), ("debit_kind", _TEXT), ("credit_kind", _TEXT), *parquet.DETAILS])
EVENT = pa.schema(
    {
        "business_date": _DAY,
        "grant_id": _TEXT,
        "seq": _LONG,
        "campaign_no": _INT,
        "campaign": _TEXT,
        "campaign_version": _INT,
        "customer": _LONG,
        "outcome": _TEXT,
        "points": _LONG,
        "decided_at": _TIME,
        "occurred_at": _TIME,
        "grade": _TEXT,
        "action": _TEXT,
        "channel": _TEXT,
        "message_id": _TEXT,
        "qualifier": _TEXT,
        "source": _TEXT,
        "principal": _INT,
        "occurred_weekday": _INT,
        "occurred_hour": _INT,
    }
)
LINK = pa.schema(
    {
        "business_date": _DAY,
        "grant_id": _TEXT,
        "campaign_no": _INT,
        "campaign": _TEXT,
        "campaign_version": _INT,
        "customer": _LONG,
        "message_id": _TEXT,
        "action": _TEXT,
        "channel": _TEXT,
        "label": _TEXT,
        "kind": _TEXT,
        "mode": _TEXT,
        "principal": _INT,
        "minted_at": _TIME,
        "sent_at": _TIME,
        "expires_at": _TIME,
    }
)
CAMPAIGN = pa.schema(
    {
        "campaign_no": _INT,
        "campaign": _TEXT,
        "version": _INT,
        "name": _TEXT,
        "account_class": _TEXT,
        "starts_at": _TIME,
        "ends_at": _TIME,
        "expires_after_months": _INT,
        "created_at": _TIME,
    }
)
CUSTOMER = pa.schema({"customer": _LONG})

Tables = AsyncIterator[tuple[Any, Totals]]


class Day(NamedTuple):
    """A business date, and the first accounting date of the transfers in it: without one, they are all that are read."""

    date: date
    counts_from: date | None

    @property
    def days(self) -> Days | None:
        """The accounting dates of its transfers."""
        return None if self.counts_from is None else (self.counts_from, self.date)


def writers_of_day(day: Day) -> dict[str, Writer]:
    """The writers of a business date's files, by name."""

    def writer(schema: Any, tables: Callable[[BookAtCut, Day], Tables], *, reads_log: bool = False) -> Writer:
        async def write(book: BookAtCut, out: TextIO) -> Totals:
            return await parquet.write(schema, tables(book, day), out)

        return Writer(write, Counts.A_PART, reads_log=reads_log)

    return {
        "dim_campaign.parquet": writer(CAMPAIGN, _campaigns),
        "dim_customer.parquet": writer(CUSTOMER, _customers),
        "fact_event.parquet": writer(EVENT, _events),
        "fact_link.parquet": writer(LINK, _links),
        "fact_transfer.parquet": writer(TRANSFER, _transfers, reads_log=True),
    }


async def _transfers(book: BookAtCut, day: Day) -> Tables:
    async for table, totals in parquet.details(book, day.days):
        dates = pa.repeat(pa.scalar(day.date, _DAY), table.num_rows)
        kinds = [_kinds(table.column(side)) for side in ("debit", "credit")]
        columns = [dates, *kinds, *table.columns]
        yield pa.Table.from_arrays(columns, schema=TRANSFER), totals


def _kinds(names: Any) -> Any:
    """Of accounts' names, the kind: what is before the first colon."""
    return pc.list_element(pc.split_pattern(names, ":", max_splits=1), 0)


async def _events(book: BookAtCut, day: Day) -> Tables:
    forms = (day.date, by_number(book.campaigns))
    for page in _log_pages(book, day, EVENTS_AT_ONCE):
        yield await _copied(book, EVENT, _PAID, *page, *forms)
    for after, until in _pages(*await _places(book, day.date), EVENTS_AT_ONCE):
        yield await _copied(book, EVENT, _UNPAID, book.book.book_id, after, until, *forms, book.calendar.time_zone, _OUTCOMES)


def _log_pages(book: BookAtCut, day: Day, size: int) -> list[tuple[Any, ...]]:
    """The log that the day reads in pages: the book, after and until, the time zone, and the day's accounting dates."""
    of_day = (book.calendar.time_zone, *(day.days or (None, None)))
    return [(book.book.book_id, *page, *of_day) for page in _pages(book.after, book.cut.seq, size)]


async def _places(book: BookAtCut, day: date) -> tuple[int, int]:
    """The last place before the day, and the last of it."""
    before = await book.log.place_before_day(book.book, day)
    return before, await book.log.place_before_day(book.book, day + timedelta(days=1))


async def _copied(book: BookAtCut, schema: Any, query: str, *arguments: Any) -> tuple[Any, Totals]:
    lines = bytearray()

    async def keep(some: bytes) -> None:
        lines.extend(some)

    await book.pool.copy_from_query(query, *arguments, output=keep, format="csv")
    table = await in_thread(parquet.of_csv, schema, lines)
    return table, Totals(rows=table.num_rows)


async def _links(book: BookAtCut, day: Day) -> Tables:
    async for rows in _link_rows(book, day.date):
        yield _table(LINK, rows), Totals(rows=len(rows))


async def _link_rows(book: BookAtCut, day: date) -> AsyncIterator[list[asyncpg.Record]]:
    """A minute's links at a time: the index on when they were minted says no more than roughly where they are.

    Where there were none, the next look is twice as far; what it finds there is read by minutes.
    """
    bounds = await book.pool.fetchrow(_BOUNDS, day, book.calendar.time_zone)
    assert bounds is not None
    since, end = bounds[0] - _CLOCK_CHANGES, bounds[1] + _CLOCK_CHANGES
    width = _MINUTE
    while since < end:
        pages = _links_between(book, day, since, since + width)
        first = await anext(pages, None)
        if first is None:
            since, width = since + width, min(2 * width, _QUIET)
        elif width > _MINUTE:
            width = _MINUTE
        else:
            yield first
            async for rows in pages:
                yield rows
            since += _MINUTE


async def _links_between(book: BookAtCut, day: date, since: datetime, until: datetime) -> AsyncGenerator[list[asyncpg.Record]]:
    last: tuple[datetime, bytes] = (since, _NO_LINK)
    while rows := await book.pool.fetch(
        _LINKS, book.book.brand_id, since, until, day, book.calendar.time_zone, *last, LINKS_AT_ONCE
    ):
        yield rows
        if len(rows) < LINKS_AT_ONCE:
            break
        last = rows[-1]["minted_at"], rows[-1]["link_id"]


async def _campaigns(book: BookAtCut, day: Day) -> Tables:
    rows = await book.pool.fetch(_CAMPAIGNS, book.book.brand_id, day.date, book.calendar.time_zone)
    yield _table(CAMPAIGN, rows), Totals(rows=len(rows))


def _table(schema: Any, rows: list[asyncpg.Record]) -> Any:
    return pa.table({name: [row[name] for row in rows] for name in schema.names}, schema=schema)


async def _customers(book: BookAtCut, day: Day) -> Tables:
    """Everybody whom the day's facts name, by number."""
    found = pa.array([], _LONG)
    for page in _log_pages(book, day, CUSTOMERS_AT_ONCE):
        found = _more(found, await book.pool.fetch(_CUSTOMERS, *page))
    for after, until in _pages(*await _places(book, day.date), CUSTOMERS_AT_ONCE):
        found = _more(found, await book.pool.fetch(_UNPAID_CUSTOMERS, book.book.book_id, after, until))
    async for rows in _link_rows(book, day.date):
        found = _more(found, rows)
    yield pa.table({"customer": pc.take(found, pc.array_sort_indices(found))}, schema=CUSTOMER), Totals(rows=len(found))


def _more(found: Any, rows: list[asyncpg.Record]) -> Any:
    return pc.unique(pa.concat_arrays([found, pa.array([row["customer"] for row in rows], _LONG)]))


def _pages(after: int, until: int, size: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + size, until)) for begin in range(after, until, size)]
