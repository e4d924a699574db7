"""Recording statements on consents in one transaction: what is new, and what follows from it.

record          of customers who are to be looked up
record_locked   of customers whose rows the caller has locked
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from service.brands.brand import Brand
from service.consents import queries
from service.consents.queries import NewConsent, RecordedConsent, RefusalReason
from service.consents.schemas import ConsentAnswer, ConsentResponse, Status
from service.customers import opt_outs
from service.customers import queries as customer_queries
from service.customers.directory import ATTEMPTS
from service.customers.queries import Customer
from service.http.identifiers import customer_id as public_number
from service.http.identifiers import key_id
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

THE_CUSTOMER = 0
"""Stands for the API key where the customer made the choice on a page of ours."""


class ConsentChange(msgspec.Struct, frozen=True):
    """A choice for one channel. ``at`` is when the customer made it; ``None`` means now."""

    channel: str
    status: Status
    source: str
    at: datetime | None = None
    reason: RefusalReason | None = None


class RecordedBy(msgspec.Struct, frozen=True):
    """An API key of the brand's, or the customer, through a link that a key made."""

    brand: Brand
    api_key_id: int
    link_made_by: int | None = None


async def record(
    services: Services,
    recorded_by: RecordedBy,
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
                answers = [] if moved else await record_locked(connection, recorded_by, changes, people, now)
        except asyncpg.DeadlockDetectedError:
            continue
        # Only after the commit: what another task reads before it must not stay cached.
        directory.forget([*numbers, *former])
        if not moved:
            return answers, people
    raise RuntimeError("customers were merged elsewhere at every attempt")


async def record_locked(
    connection: queries.Connection,
    recorded_by: RecordedBy,
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
        return ConsentAnswer(recorded=new.get(consent) == index, current=consent_response(current))

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
    connection: queries.Connection, recorded_by: RecordedBy, new: Sequence[NewConsent], now: datetime
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


def consent_response(consent: RecordedConsent) -> ConsentResponse:
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
