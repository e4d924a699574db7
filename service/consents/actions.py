"""Recording where customers may be contacted.

    record_many        statements of a brand's about many customers and channels, each on its own
    record_one         about one customer and channel
    record_own         a customer's own choices, made on a page of ours
    read               what holds for a customer, and the history
    refused_channels   what holds for a customer, by channel

A thousand statements are one transaction of a few SQL statements once the customers are looked up: what holds so far, what is
new, and what follows from it (``customers.opt_outs``). Locks on the customers' rows keep merges out meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from ledger import Position
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.consents import queries, recording, returning
from service.consents.complaints import Complaint, reject_held_back
from service.consents.recording import EARLIEST, THE_CUSTOMER, ConsentChange, RecordedBy, consent_response
from service.consents.schemas import ConsentAnswer, ConsentItem, ConsentRequest, ConsentsResponse
from service.customers import actions as customers
from service.customers.identities import is_id
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.http.identifiers import position
from service.http.problems import Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

AHEAD_MAX = timedelta(minutes=5)
"""How far the clock of a brand's system may be ahead of ours; the same as for grants."""

_CHUNK = 1_000
"""Longer batches are split: other writers of the brand's consents wait while one is written."""


async def record_many(
    services: Services, principal: Principal, items: Sequence[ConsentItem | Problem], *, now: datetime
) -> list[ConsentAnswer | Problem]:
    """Record each item, in order. Errors are per item; repeating a statement changes nothing."""
    answers: list[ConsentAnswer | Problem] = []
    for start in range(0, len(items), _CHUNK):
        part = [_checked(item, now) for item in items[start : start + _CHUNK]]
        good = [item for item in part if isinstance(item, ConsentItem)]
        recorded_by = RecordedBy(principal.brand, principal.api_key_id)
        await returning.welcome(services, recorded_by, good, now)
        changes = [ConsentChange(item.channel, item.status, item.source, item.at, item.reason) for item in good]
        people = partial(customers.resolve, services, principal.brand, [item.customer for item in good])
        recorded, known = await recording.record(services, recorded_by, changes, people, now)
        await reject_held_back(services, principal, _complaints(changes, known, now))
        one = iter(recorded)
        answers += [item if isinstance(item, Problem) else next(one) for item in part]
    return answers


async def record_one(
    services: Services, principal: Principal, own_id: str, channel: str, wanted: ConsentRequest, *, now: datetime
) -> ConsentAnswer:
    """Record a statement about the customer and channel in the path."""
    if not is_id(own_id):
        raise not_found("customer")
    item = ConsentItem(
        customer=CustomerRef(id=own_id),
        channel=channel,
        status=wanted.status,
        at=wanted.at,
        source=wanted.source,
        reason=wanted.reason,
    )
    (answer,) = await record_many(services, principal, [item], now=now)
    if isinstance(answer, Problem):
        raise answer
    return answer


async def record_own(
    services: Services, brand: Brand, number: int, wanted: Sequence[ConsentChange], *, link_made_by: int | None, now: datetime
) -> list[ConsentAnswer | Problem]:
    """Record what a customer chose on a page of ours. ``link_made_by`` is the API key that made the link to it."""

    async def known() -> list[Customer | Problem]:
        return [await customers.by_number(services, brand, number)] * len(wanted)

    answers, _ = await recording.record(services, RecordedBy(brand, THE_CUSTOMER, link_made_by), wanted, known, now)
    return answers


async def refused_channels(services: Services, known: Customer) -> dict[str, bool]:
    """Whether the customer refuses each channel that has a statement."""
    return {each.channel: each.refused for each in await queries.current(services.pool, (known.customer, *known.former))}


async def read(services: Services, brand: Brand, own_id: str, *, before: Position | None, limit: int) -> ConsentsResponse:
    """What holds for a customer, and a page of the history."""
    known = await customers.find(services, brand, CustomerRef(id=own_id), now=True)
    if known is None:
        return ConsentsResponse(customer=own_id, known=False, current=(), history=(), next=None)
    numbers = (known.customer, *known.former)
    history = await queries.history(services.pool, numbers, before=before, limit=limit + 1)
    return ConsentsResponse(
        customer=own_id,
        known=True,
        current=[consent_response(consent) for consent in await queries.current(services.pool, numbers)],
        history=[consent_response(consent) for consent in history[:limit]],
        next=position(queries.cursor(history[limit - 1])) if len(history) > limit else None,
    )


def _complaints(
    changes: Sequence[ConsentChange], people: Sequence[Customer | Problem], now: datetime
) -> list[tuple[Customer, Complaint]]:
    return [
        (known, Complaint(each.channel, each.at or now, each.reason))
        for each, known in zip(changes, people, strict=True)
        if each.reason is not None and isinstance(known, Customer)
    ]


def _checked(item: ConsentItem | Problem, now: datetime) -> ConsentItem | Problem:
    if isinstance(item, Problem):
        return item
    if item.reason is not None and item.status == "granted":
        return invalid_field("/reason", "is why a customer refuses: leave it out where the status is granted")
    if item.at is None:
        return item
    if item.at < EARLIEST:
        return invalid_field("/at", f"must not lie before {EARLIEST.year}")
    if item.at > now + AHEAD_MAX:
        return invalid_field("/at", "must not lie in the future")
    return msgspec.structs.replace(item, at=item.at.astimezone(UTC))
