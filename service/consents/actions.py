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

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from ledger import Position
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.consents import queries
from service.consents.complaints import Complaint, reject_held_back
from service.consents.queries import NewConsent, RecordedConsent, RefusalReason
from service.consents.schemas import (
    ConsentAnswer,
    ConsentItem,
    ConsentRequest,
    ConsentResponse,
    ConsentsResponse,
    Status,
)
from service.customers import actions as customers
from service.customers import opt_outs
from service.customers import queries as customer_queries
from service.customers.directory import ATTEMPTS
from service.customers.identities import is_id, named
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.http.identifiers import customer_id as public_number
from service.http.identifiers import key_id, position
from service.http.problems import Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

AHEAD_MAX = timedelta(minutes=5)
"""How far the clock of a brand's system may be ahead of ours; the same as for grants."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

THE_CUSTOMER = 0
"""Stands for the API key where the customer made the choice on a page of ours."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_RETURNED = "consent after an erasure"

_CHUNK = 1_000
"""Longer batches are split: other writers of the brand's consents wait while one is written."""


class ConsentChange(msgspec.Struct, frozen=True):
    """A choice for one channel. ``at`` is when the customer made it; ``None`` means now."""

    channel: str
    status: Status
    source: str
    at: datetime | None = None
    reason: RefusalReason | None = None


class _RecordedBy(msgspec.Struct, frozen=True):
    """An API key of the brand's, or the customer, through a link that a key made."""

    brand: Brand
    api_key_id: int
    link_made_by: int | None = None


async def record_many(
    services: Services, principal: Principal, items: Sequence[ConsentItem | Problem], *, now: datetime
) -> list[ConsentAnswer | Problem]:
    """Record each item, in order. Errors are per item; repeating a statement changes nothing."""
    answers: list[ConsentAnswer | Problem] = []
    for start in range(0, len(items), _CHUNK):
        part = [_checked(item, now) for item in items[start : start + _CHUNK]]
        good = [item for item in part if isinstance(item, ConsentItem)]
        back = await _welcomed_back(services, principal.brand, good, now)
        refs = [item.customer for item in (*good, *back)]
        changes = [ConsentChange(item.channel, item.status, item.source, item.at, item.reason) for item in (*good, *back)]
        people = partial(customers.resolve, services, principal.brand, refs)
        recorded_by = _RecordedBy(principal.brand, principal.api_key_id)
        recorded, known = await _record(services, recorded_by, changes, people, now)
        await reject_held_back(services, principal, _complaints(changes, known, now))
        one = iter(recorded)
        answers += [item if isinstance(item, Problem) else next(one) for item in part]
    return answers


async def _welcomed_back(services: Services, brand: Brand, items: Sequence[ConsentItem], now: datetime) -> list[ConsentItem]:
    """Let those be customers again who were erased and have agreed to be contacted since, under a number of their own.

    Returns what follows: no rewards for what they did before they agreed.
    """
    directory = services.customers
    agreed = [
        (item, names)
        for item in items
        if item.status == "granted" and isinstance(names := named(item.customer, brand.brand_id, directory.keys), list)
    ]
    erased = await directory.tombstones.among(brand.brand_id, [name for _, names in agreed for name in names])
    back = [(item, names) for item, names in agreed if any(erased.get(name.mac, _NEVER) < (item.at or now) for name in names)]
    if not back:
        return []
    async with services.pool.acquire() as connection, connection.transaction():
        await directory.tombstones.lift(connection, brand.brand_id, [name for _, names in back for name in names])
    return [
        ConsentItem(customer=item.customer, channel=opt_outs.ALL, status=status, at=at, source=_RETURNED)
        for item, _ in back
        for status, at in _since(item.at or now)
    ]


def _since(at: datetime) -> Sequence[tuple[Status, datetime]]:
    return (("refused", EARLIEST), ("granted", at))


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

    answers, _ = await _record(services, _RecordedBy(brand, THE_CUSTOMER, link_made_by), wanted, known, now)
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
        current=[_response(consent) for consent in await queries.current(services.pool, numbers)],
        history=[_response(consent) for consent in history[:limit]],
        next=position(queries.cursor(history[limit - 1])) if len(history) > limit else None,
    )


async def _record(
    services: Services,
    recorded_by: _RecordedBy,
    changes: Sequence[ConsentChange],
    find_people: Callable[[], Awaitable[list[Customer | Problem]]],
    now: datetime,
) -> tuple[list[ConsentAnswer | Problem], Sequence[Customer | Problem]]:
    """Find the customers, one for each of ``changes``, and record what changes. Returns the customers too."""
    if not changes:
        return [], []
    directory = services.customers
    pool = services.pool
    for _ in range(ATTEMPTS):
        people = await find_people()
        generations = {known.customer: known.generation for known in people if isinstance(known, Customer)}
        numbers = generations.keys()
        try:
            async with pool.acquire() as connection, connection.transaction():
                # A customer merged or split since the look-up has another generation.
                moved = generations.items() - (await customer_queries.lock_each(connection, numbers)).items()
                former = await customer_queries.former_of(connection, numbers)
                answers = [] if moved else await _record_locked(connection, recorded_by, changes, people, now)
        except asyncpg.DeadlockDetectedError:
            continue
        # Only after the commit: what another task reads before it must not stay cached.
        directory.forget([*numbers, *former])
        if not moved:
            return answers, people
    raise RuntimeError("customers were merged elsewhere at every attempt")


async def _record_locked(
    connection: queries.Connection,
    recorded_by: _RecordedBy,
    changes: Sequence[ConsentChange],
    people: Sequence[Customer | Problem],
    now: datetime,
) -> list[ConsentAnswer | Problem]:
    wanted = {
        index: NewConsent(
            known.customer, known.named, each.channel, each.at or now, each.status == "refused", each.source, each.reason
        )
        for index, (each, known) in enumerate(zip(changes, people, strict=True))
        if isinstance(known, Customer)
    }
    found = dict(zip(wanted, await queries.standing(connection, list(wanted.values())), strict=True))
    undated = {index for index in wanted if changes[index].at is None}
    new, latest = _decide(wanted, found, undated)
    stored = await _store(connection, recorded_by, list(new), now)

    def answer(index: int, known: Customer | Problem) -> ConsentAnswer | Problem:
        if isinstance(known, Problem):
            return known
        consent = wanted[index]
        last = latest[consent.customer, consent.channel]
        current = stored[last] if isinstance(last, NewConsent) else last
        return ConsentAnswer(recorded=new.get(consent) == index, current=_response(current))

    return [answer(index, known) for index, known in enumerate(people)]


def _decide(
    wanted: Mapping[int, NewConsent],
    found: Mapping[int, tuple[bool, RecordedConsent | None]],
    undated: Collection[int],
) -> tuple[dict[NewConsent, int], dict[tuple[int, str], RecordedConsent | NewConsent]]:
    """Which of ``wanted`` are new, each with its index, and what then holds by customer and channel."""
    new: dict[NewConsent, int] = {}
    seen: set[tuple[int, str, datetime, bool, str]] = set()
    latest: dict[tuple[int, str], RecordedConsent | NewConsent] = {}
    for index, consent in wanted.items():
        was_recorded, before = found[index]
        holds_for = consent.customer, consent.channel
        last = latest.get(holds_for, before)
        # A statement without a time says what holds now: nothing to record if it already does.
        already_holds = (
            index in undated
            and last is not None
            and (last.refused, last.source, last.reason) == (consent.refused, consent.source, consent.reason)
        )
        is_new = not (was_recorded or consent.identity in seen or already_holds)
        if is_new:
            new[consent] = index
            seen.add(consent.identity)
        if is_new and (last is None or (consent.at, consent.refused) >= (last.at, last.refused)):
            last = consent
        assert last is not None
        latest[holds_for] = last
    return new, latest


async def _store(
    connection: queries.Connection, recorded_by: _RecordedBy, new: Sequence[NewConsent], now: datetime
) -> dict[NewConsent, RecordedConsent]:
    if not new:
        return {}
    brand = recorded_by.brand
    stored = await queries.insert(
        connection,
        brand.brand_id,
        new,
        recorded_at=now,
        api_key_id=recorded_by.api_key_id,
        link_made_by=recorded_by.link_made_by,
    )
    await opt_outs.refresh_opt_outs(connection, brand, sorted({consent.customer for consent in new}))
    return stored


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


def _response(consent: RecordedConsent) -> ConsentResponse:
    return ConsentResponse(
        channel=consent.channel,
        status="refused" if consent.refused else "granted",
        at=consent.at,
        source=consent.source,
        recorded_at=consent.recorded_at,
        recorded_by="customer" if consent.recorded_by == THE_CUSTOMER else key_id(consent.recorded_by),
        link_made_by=None if consent.link_made_by is None else key_id(consent.link_made_by),
        reason=consent.reason,
        said_of=public_number(consent.customer),
    )
