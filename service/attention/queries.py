"""Counting what customers were sent and what they earned, from links, registered messages and the books.

Two statements for each ``COUNTED_AT_ONCE`` customers, whatever numbers those have had. Nothing is kept for it: it costs a grant
nothing, and a link or a message an entry in an index. A message is known by the links that were minted for it, by its
registration, and by what was reported on it: it counts while one of these lies within the span.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from ledger import Attention, Lookback
from service.attention.schemas import Attended, AttendedChannel, AttentionAnswer, HotlineResponse
from service.brands.brand import Brand
from service.customers.queries import Customer

if TYPE_CHECKING:
    from service.services import Services

COUNTED_AT_ONCE = 250
"""How many customers one statement counts; more would hold the event loop for long."""
LINKS_MAX = 1_000
"""How many links and how many registered messages of one number are read; as many as of its transfers."""
CLOCKS_DIFFER = timedelta(seconds=5)
"""What is to be sent later does not count yet; what was sent just now does."""

_SQL = Path(__file__).with_name("sql")
_SENT = (_SQL / "sent_messages.sql").read_text()

LINKS_COUNTED_MAX = 200_000
"""How many links, and how many registered messages, are read to find the recipients."""

_RECIPIENTS = (_SQL / "recipients.sql").read_text()


async def hotline(services: Services, brand: Brand, span: timedelta) -> HotlineResponse:
    """How many of the customers a brand recently wrote to responded as people: two statements, whatever the number."""
    ledger = services.ledger
    within = await ledger.lookback(brand.book, span)
    responders = await ledger.responders(within)
    written: Any = await services.pool.fetchrow(
        _RECIPIENTS, brand.brand_id, within.since, LINKS_COUNTED_MAX, within.until + CLOCKS_DIFFER
    )
    recipients = len(responders.acted.union(written["customers"]))
    return HotlineResponse(
        recipients=recipients,
        responders=len(responders.proved),
        share=round(len(responders.proved) / recipients, 4) if recipients else None,
        complete=responders.complete and written["looked_at"] < LINKS_COUNTED_MAX,
        since=within.since,
        until=within.until,
    )


async def count(
    services: Services, brand: Brand, people: Sequence[Customer | None], span: timedelta
) -> tuple[Lookback, list[AttentionAnswer]]:
    """What is known of each of ``people``, in order, and within which time."""
    ledger = services.ledger
    within = await ledger.lookback(brand.book, span)
    answers: list[AttentionAnswer] = []
    for start in range(0, len(people), COUNTED_AT_ONCE):
        answers += await _count(services, within, people[start : start + COUNTED_AT_ONCE])
        await asyncio.sleep(0)
    return within, answers


async def _count(services: Services, within: Lookback, people: Sequence[Customer | None]) -> list[AttentionAnswer]:
    ledger = services.ledger
    numbers = [number for known in people if known is not None for number in (known.customer, *known.former)]
    acted = dict(zip(numbers, await ledger.attention(within, numbers), strict=True)) if numbers else {}
    sent = await _sent(services.pool, numbers, within) if numbers else {}
    return [_answer(known, acted, sent) for known in people]


class _Sent(msgspec.Struct, frozen=True, gc=False):
    channel: str
    message_id: str
    at: datetime
    looked_at: int


async def _sent(pool: asyncpg.Pool[Any], numbers: Sequence[int], within: Lookback) -> dict[int, list[_Sent]]:
    found: dict[int, list[_Sent]] = {number: [] for number in numbers}
    rows: list[Any] = await pool.fetch(_SENT, numbers, within.since, LINKS_MAX, within.until + CLOCKS_DIFFER)
    for n, *message in rows:
        found[numbers[n - 1]].append(_Sent(*message))
    return found


class _Tally:
    """What is counted of one customer, on one channel or on all."""

    def __init__(self) -> None:
        self.messages: dict[str, datetime] = {}
        self.rewards = 0
        self.points = 0
        self.rewarded_at: datetime | None = None

    def see(self, message_id: str | None, at: datetime | None) -> None:
        """Count a message once, however often it is seen."""
        if message_id is not None and at is not None:
            self.messages[message_id] = max(at, self.messages.get(message_id, at))

    def earn(self, rewards: int, points: int, at: datetime | None) -> None:
        """Count acts that were rewarded."""
        self.rewards += rewards
        self.points += points
        if at is not None:
            self.rewarded_at = at if self.rewarded_at is None else max(self.rewarded_at, at)

    def told(self) -> dict[str, Any]:
        """The fields of an answer."""
        return {
            "messages": len(self.messages),
            "last_message_at": max(self.messages.values(), default=None),
            "rewards": self.rewards,
            "points": self.points,
            "last_rewarded_at": self.rewarded_at,
        }


def _answer(known: Customer | None, acted: dict[int, Attention], sent: dict[int, list[_Sent]]) -> AttentionAnswer:
    total = _Tally()
    channels: dict[str, _Tally] = {}

    def tallies(channel: str) -> Iterable[_Tally]:
        return total, channels.setdefault(channel, _Tally())

    complete = True
    for number in () if known is None else (known.customer, *known.former):
        complete = complete and acted[number].complete
        for seen in acted[number].messages:
            for tally in tallies(seen.channel):
                tally.see(seen.message_id, seen.reported_at)
                tally.earn(seen.rewards, seen.points, seen.rewarded_at)
        for message in sent[number]:
            complete = complete and message.looked_at < LINKS_MAX
            for tally in tallies(message.channel):
                tally.see(message.message_id, message.at)
    return AttentionAnswer(
        known=known is not None,
        complete=complete,
        total=Attended(**total.told()),
        channels=[AttendedChannel(channel=channel, **channels[channel].told()) for channel in sorted(channels)],
    )
