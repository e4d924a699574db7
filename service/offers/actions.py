"""Making offers: which messages to a customer offer the same.

    check   one round trip: what cannot be, before anything is stored
    store   two statements in a transaction: the offers and their messages

An offer is of one campaign, so that whoever claims it is looked up in one place of the book. What is there stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from service.brands.brand import Brand
from service.http.problems import Problem, invalid_field
from service.offers.queries import SQL

if TYPE_CHECKING:
    from service.services import Services

_STANDING = (SQL / "standing_offers.sql").read_text()
_STORE = (SQL / "store_offers.sql").read_text()
_STORE_MESSAGES = (SQL / "store_offer_messages.sql").read_text()

Key = TypeVar("Key")


class OfferedMessage(msgspec.Struct, frozen=True, gc=False):
    """A message that makes an offer. ``is_stated``: the sender said when it lapses."""

    group: str
    message_id: str
    customer: int
    campaign_no: int
    channel: str
    sent_at: datetime
    lapses_at: datetime
    is_stated: bool


class _Standing(NamedTuple):
    """An offer that is there: its campaign, and when it was said to lapse, if it was."""

    campaign_no: int
    lapses_at: datetime | None


def made_wrongly(group: str | None, lapses_at: datetime | None, *, makes_offers: bool, now: datetime) -> Problem | None:
    """What is wrong with what a message says of its offer."""
    if group is None:
        return None if lapses_at is None else invalid_field("/lapses_at", "is for a message with an offer_group")
    if not makes_offers:
        return invalid_field("/offer_group", "is for a campaign that makes offers: one that was created with offers: true")
    if lapses_at is not None and lapses_at <= now:
        return invalid_field("/lapses_at", "must lie in the future")
    return None


async def check(services: Services, brand: Brand, wanted: Mapping[Key, OfferedMessage]) -> dict[Key, Problem]:
    """Which of ``wanted`` contradict what is there, or an earlier one of them."""
    if not wanted:
        return {}
    offers, messages = await _standing(services, brand, wanted.values())
    refused: dict[Key, Problem] = {}
    for key, each in wanted.items():
        problem = _contradicted(each, offers, messages)
        if problem is not None:
            refused[key] = problem
            continue
        stated = each.lapses_at if each.is_stated else None
        there = offers.get((each.group, each.customer), _Standing(each.campaign_no, None))
        offers[each.group, each.customer] = there._replace(lapses_at=there.lapses_at or stated)
        messages[each.message_id, each.customer] = each.group
    return refused


async def _standing(
    services: Services, brand: Brand, wanted: Collection[OfferedMessage]
) -> tuple[dict[tuple[str, int], _Standing], dict[tuple[str, int], str]]:
    groups = sorted({(each.group, each.customer) for each in wanted})
    messages = sorted({(each.message_id, each.customer) for each in wanted})
    rows = await services.pool.fetch(_STANDING, brand.brand_id, *_columns(groups, 2), *_columns(messages, 2))
    offers = {
        (name, customer): _Standing(int(said), lapses_at if is_stated else None)
        for what, name, customer, said, is_stated, lapses_at in rows
        if what == "offer"
    }
    return offers, {(row["name"], row["customer"]): row["said"] for row in rows if row["what"] == "message"}


def _contradicted(
    wanted: OfferedMessage, offers: Mapping[tuple[str, int], _Standing], messages: Mapping[tuple[str, int], str]
) -> Problem | None:
    there = offers.get((wanted.group, wanted.customer))
    name = f"The offer {wanted.group!r} to this customer"
    if there is not None and there.campaign_no != wanted.campaign_no:
        return Problem("offer_exists", f"{name} is of another campaign.")
    if there is not None and wanted.is_stated and there.lapses_at not in (None, wanted.lapses_at):
        return Problem("offer_exists", f"{name} was said to lapse at another time.")
    if messages.get((wanted.message_id, wanted.customer), wanted.group) != wanted.group:
        return Problem("offer_exists", f"The message {wanted.message_id!r} to this customer makes another offer.")
    return None


async def store(services: Services, brand: Brand, wanted: Iterable[OfferedMessage]) -> None:
    """Store offers and their messages, as far as they are not there yet."""
    messages = {(each.message_id, each.customer): each for each in wanted}
    if not messages:
        return
    offers: dict[tuple[str, int], OfferedMessage] = {}
    for each in messages.values():
        key = each.group, each.customer
        offers[key] = max(offers.get(key, each), each, key=lambda one: (one.is_stated, one.lapses_at))
    # In one order: two batches with the same offers must not wait for each other.
    rows = [
        (each.group, each.customer, each.campaign_no, each.sent_at, each.lapses_at, each.is_stated)
        for _, each in sorted(offers.items())
    ]
    of_messages = [
        (each.message_id, each.customer, each.group, each.channel, each.sent_at) for _, each in sorted(messages.items())
    ]
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(_STORE, brand.brand_id, *_columns(rows, 6))
        await connection.execute(_STORE_MESSAGES, brand.brand_id, *_columns(of_messages, 5))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]
