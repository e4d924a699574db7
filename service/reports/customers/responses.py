"""Responses: which messages customers responded to, by channel. So a planner can pick the channel that a customer prefers.

A message was sent if a link of it was minted for the customer in the period, or an act on it was reported then. It was
responded to if one of these acts has evidence of grade A or B.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from service.reports.asked import Asked
from service.reports.report import Report, Row, columns, decimal

NAME = "responses"
DIMENSIONS = ("channel",)

_FIGURES = columns(messages="count", responded="count", response_rate="share", verified_acts="count")
_SUMS = columns(customers="count", responders="count")
COLUMNS = (*columns(customer="text", channel="text"), *_FIGURES)

_LOOKED_AT_ONCE = 2_000
_LINKS_AT_ONCE = 2_000
_CUSTOMERS_AT_ONCE = 100
_SQL = Path(__file__).with_name("sql")
_RECIPIENTS = (_SQL / "recipients.sql").read_text()
_LINKS = (_SQL / "links_of_customers.sql").read_text()


class Tally(msgspec.Struct):
    """What is counted of one customer on one channel."""

    messages: set[str] = msgspec.field(default_factory=set[str])
    responded: set[str] = msgspec.field(default_factory=set[str])
    acts: int = 0


class _Channel(msgspec.Struct):
    """What is counted of all customers on one channel."""

    customers: int = 0
    responders: int = 0
    messages: int = 0
    responded: int = 0
    acts: int = 0

    def add(self, tallies: Sequence[Tally]) -> None:
        """Add what one customer did."""
        self.customers += 1
        self.responders += any(tally.acts for tally in tallies)
        self.messages += sum(len(tally.messages) for tally in tallies)
        self.responded += sum(len(tally.responded) for tally in tallies)
        self.acts += sum(tally.acts for tally in tallies)


async def report(asked: Asked) -> Report:
    """What all customers of a brand responded to."""
    found: dict[tuple[str, ...], _Channel] = defaultdict(_Channel)
    total = _Channel()
    _, until = await asked.posted()
    async for some, _ in recipients(asked):
        for channels in (await tallies_of(asked, some)).values():
            total.add(list(channels.values()))
            for channel, tally in channels.items() if asked.by else ():
                found[channel,].add([tally])
    return asked.report(
        NAME,
        (*_SUMS, *_FIGURES),
        since=asked.period.begin,
        seq=until,
        rows=[{"channel": channel, **_sums(found[channel,])} for (channel,) in sorted(found)],
        totals=_sums(total),
        checks=(),
        links=[{} for _ in found],
    )


def _sums(channel: _Channel) -> Row:
    return {
        "customers": channel.customers,
        "responders": channel.responders,
        **_figures(channel.messages, channel.responded, channel.acts),
    }


def _figures(messages: int, responded: int, acts: int) -> Row:
    rate = decimal(Fraction(responded, messages)) if messages else None
    return {"messages": messages, "responded": responded, "response_rate": rate, "verified_acts": acts}


def rows(customer: int, channels: Mapping[str, Tally]) -> Iterator[Row]:
    """A customer's rows."""
    for channel, tally in sorted(channels.items()):
        figures = _figures(len(tally.messages), len(tally.responded), tally.acts)
        yield {"customer": f"cus_{customer}", "channel": channel, **figures}


async def recipients(asked: Asked, *, after: int = 0) -> AsyncIterator[tuple[list[tuple[int, Sequence[int]]], int]]:
    """All customers of the brand who are merged into nobody, with those merged into them, by number, some at a time; and the
    last number looked at.
    """
    while looked_at := await asked.services.pool.fetch(_RECIPIENTS, asked.brand.brand_id, after, _LOOKED_AT_ONCE):
        after = looked_at[-1]["customer"]
        yield [(row["customer"], row["merged"]) for row in looked_at if row["is_wanted"]], after


async def tallies_of(asked: Asked, customers: Sequence[tuple[int, Sequence[int]]]) -> dict[int, dict[str, Tally]]:
    """What these customers were sent and responded to in the period, by channel; nobody who was sent nothing."""
    survivor = {number: customer for customer, merged in customers for number in (customer, *merged)}
    found: dict[int, dict[str, Tally]] = {customer: defaultdict[str, Tally](Tally) for customer, _ in customers}
    after, until = await asked.posted()
    for said in await asked.services.ledger.customer_messages(asked.brand.book, list(survivor), after=after, until=until):
        tally = found[survivor[said.customer]][said.channel]
        tally.acts += said.verified
        if said.message_id is not None:
            tally.messages.add(said.message_id)
            if said.verified:
                tally.responded.add(said.message_id)
    async for number, channel, message_id in _links(asked, list(survivor)):
        found[survivor[number]][channel].messages.add(message_id)
    return {customer: channels for customer, channels in found.items() if channels}


async def _links(asked: Asked, numbers: Sequence[int]) -> AsyncIterator[tuple[int, str, str]]:
    """The messages for which links were minted, of some customers at a time, and again for those of whom there is more."""
    since, end = await asked.instants()
    for begin in range(0, len(numbers), _CUSTOMERS_AT_ONCE):
        left: dict[int, datetime] = dict.fromkeys(numbers[begin : begin + _CUSTOMERS_AT_ONCE], since)
        limit = _LINKS_AT_ONCE
        while left:
            rows = await _minted(asked, left, end, limit)
            some = list(left)
            for place, channel, message_id, *_ in rows:
                yield some[place - 1], channel, message_id
            more = _more(some, rows, limit)
            # All of the last were minted at one instant.
            limit *= 2 if any(left[number] == last for number, last in more.items()) else 1
            left = more


async def _minted(asked: Asked, left: Mapping[int, datetime], end: datetime, limit: int) -> list[Any]:
    """With a plan of its own, and by the index that has the order, so that never all of a table is read."""
    async with asked.services.pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute("SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan")
        return await connection.fetch(_LINKS, list(left), list(left.values()), end, limit)


def _more(numbers: Sequence[int], rows: Sequence[Any], limit: int) -> dict[int, datetime]:
    """Of whom there may be more links, and since when."""
    read: dict[int, int] = defaultdict[int, int](int)
    last: dict[int, datetime] = {}
    for row in rows:
        place: int = row["n"]
        number = numbers[place - 1]
        read[number] += row["links"]
        last[number] = max(row["last_minted_at"], last.get(number, row["last_minted_at"]))
    return {number: last[number] for number, links in read.items() if links == limit}
