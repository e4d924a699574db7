"""Taking down where customers may be contacted.

    say           what was said of many customers and channels, each for itself
    say_one       of one
    say_herself   what a customer says of her own channels, on a page of ours
    read          what holds for a customer, and all that was said
    holding       what holds for a customer

Of a thousand it is one transaction of a few statements after the customers are looked up: what holds so far, what is new, and
what follows from it (see ``customers.refused``). A statement takes its turn with merges by the customers' rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from ledger import Position
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.consents import queries
from service.consents.queries import Said, Statement
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
from service.customers import queries as rows
from service.customers.directory import ATTEMPTS
from service.customers.identities import is_id
from service.customers.queries import Known
from service.customers.schemas import CustomerRef
from service.http.identifiers import customer_id as public_number
from service.http.identifiers import key_id, position
from service.http.problems import Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

AHEAD_MAX = timedelta(minutes=5)
"""How far a teller's clock may be ahead of ours, as a reporter's of grants."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

THE_CUSTOMER = 0
"""No key told us: the customer did, on a page of ours."""

_SAID_AT_ONCE = 1_000
"""A longer batch is cut: whoever else is told something of the brand's customers waits while one is written."""


class Word(msgspec.Struct, frozen=True):
    """What somebody says of one channel. ``at`` is when she said so; ``None``: now."""

    channel: str
    status: Status
    source: str
    at: datetime | None = None


class _Teller(msgspec.Struct, frozen=True):
    """Who tells us: a key of the brand's, or the customer, by a link that a key made."""

    brand: Brand
    api_key_id: int
    link_made_by: int | None = None


async def say(
    services: Services, principal: Principal, items: Sequence[ConsentItem | Problem], *, now: datetime
) -> list[ConsentAnswer | Problem]:
    """Take each item down, in order; what is wrong with one item concerns that item alone. The same again changes nothing."""
    answers: list[ConsentAnswer | Problem] = []
    for start in range(0, len(items), _SAID_AT_ONCE):
        part = [_checked(item, now) for item in items[start : start + _SAID_AT_ONCE]]
        good = [item for item in part if isinstance(item, ConsentItem)]
        refs = [item.customer for item in good]
        words = [Word(item.channel, item.status, item.source, item.at) for item in good]
        people = partial(customers.resolve, services, principal.brand, refs)
        said = iter(await _say(services, _Teller(principal.brand, principal.api_key_id), words, people, now) if good else [])
        answers += [item if isinstance(item, Problem) else next(said) for item in part]
    return answers


async def say_one(
    services: Services, principal: Principal, own_id: str, channel: str, wanted: ConsentRequest, *, now: datetime
) -> ConsentAnswer:
    """The same of one customer and channel, which the path has."""
    if not is_id(own_id):
        raise not_found("customer")
    item = ConsentItem(
        customer=CustomerRef(id=own_id), channel=channel, status=wanted.status, at=wanted.at, source=wanted.source
    )
    (answer,) = await say(services, principal, [item], now=now)
    if isinstance(answer, Problem):
        raise answer
    return answer


async def say_herself(
    services: Services, brand: Brand, number: int, wanted: Sequence[Word], *, link_made_by: int | None, now: datetime
) -> list[ConsentAnswer | Problem]:
    """The same of one customer, by our number, who says so on a page that an API key made a link to."""

    async def known() -> list[Known | Problem]:
        return [await customers.by_number(services, brand, number)] * len(wanted)

    return await _say(services, _Teller(brand, THE_CUSTOMER, link_made_by), wanted, known, now) if wanted else []


async def holding(services: Services, known: Known) -> dict[str, bool]:
    """The channels of which anything was said of a customer, each with whether she refuses it."""
    said = await queries.current(services.pool, (known.customer, *known.former))
    return {each.channel: each.refused for each in said}


async def read(services: Services, brand: Brand, own_id: str, *, before: Position | None, limit: int) -> ConsentsResponse:
    """What holds for a customer, and a page of all that was said of her."""
    known = await customers.find(services, brand, CustomerRef(id=own_id), now=True)
    if known is None:
        return ConsentsResponse(customer=own_id, known=False, current=(), history=(), next=None)
    numbers = (known.customer, *known.former)
    history = await queries.history(services.pool, numbers, before=before, limit=limit + 1)
    return ConsentsResponse(
        customer=own_id,
        known=True,
        current=[_shown(said) for said in await queries.current(services.pool, numbers)],
        history=[_shown(said) for said in history[:limit]],
        next=position(queries.cursor(history[limit - 1])) if len(history) > limit else None,
    )


async def _say(
    services: Services,
    teller: _Teller,
    words: Sequence[Word],
    find_people: Callable[[], Awaitable[list[Known | Problem]]],
    now: datetime,
) -> list[ConsentAnswer | Problem]:
    """Find the customers, one for each of ``words``, and take down what was said of each."""
    directory = services.customers
    pool = services.pool
    for _ in range(ATTEMPTS):
        people = await find_people()
        generations = {known.customer: known.generation for known in people if isinstance(known, Known)}
        numbers = generations.keys()
        try:
            async with pool.acquire() as connection, connection.transaction():
                # Merged with others, or split from one of them, since she was looked up.
                moved = generations.items() - (await rows.lock_each(connection, numbers)).items()
                former = await rows.former_of(connection, numbers)
                answers = [] if moved else await _take_down(connection, teller, words, people, now)
        except asyncpg.DeadlockDetectedError:
            continue
        # What was read before the commit must not be remembered behind it.
        directory.forget([*numbers, *former])
        if not moved:
            return answers
    raise RuntimeError("customers were merged elsewhere at every attempt")


async def _take_down(
    connection: queries.Connection,
    teller: _Teller,
    spoken: Sequence[Word],
    people: Sequence[Known | Problem],
    now: datetime,
) -> list[ConsentAnswer | Problem]:
    wanted = {
        index: Said(known.customer, known.named, item.channel, item.at or now, item.status == "refused", item.source)
        for index, (item, known) in enumerate(zip(spoken, people, strict=True))
        if isinstance(known, Known)
    }
    found = dict(zip(wanted, await queries.standing(connection, list(wanted.values())), strict=True))
    new: dict[Said, int] = {}
    words: set[tuple[int, str, datetime, bool, str]] = set()
    holds: dict[tuple[int, str], Statement | Said | None] = {}
    for index, said in wanted.items():
        was_said, before = found[index]
        last = holds.setdefault((said.customer, said.channel), before)
        # Without a time it says that it is so: if it is, there is nothing to say.
        is_so = spoken[index].at is None and last is not None and (last.refused, last.source) == (said.refused, said.source)
        if was_said or said.words in words or is_so:
            continue
        new[said] = index
        words.add(said.words)
        if last is None or (said.at, said.refused) >= (last.at, last.refused):
            holds[said.customer, said.channel] = said
    stored = await _store(connection, teller, list(new), now)

    answers: list[ConsentAnswer | Problem] = []
    for index, known in enumerate(people):
        if isinstance(known, Problem):
            answers.append(known)
            continue
        said = wanted[index]
        last = holds[said.customer, said.channel]
        assert last is not None
        current = stored[last] if isinstance(last, Said) else last
        answers.append(ConsentAnswer(recorded=new.get(said) == index, current=_shown(current)))
    return answers


async def _store(connection: queries.Connection, teller: _Teller, new: Sequence[Said], now: datetime) -> dict[Said, Statement]:
    if not new:
        return {}
    brand = teller.brand
    told_by = (teller.api_key_id, teller.link_made_by)
    stored = await queries.insert(connection, brand.brand_id, new, recorded_at=now, told_by=told_by)
    await opt_outs.bring_up(connection, brand, sorted({said.customer for said in new}))
    return stored


def _checked(item: ConsentItem | Problem, now: datetime) -> ConsentItem | Problem:
    if isinstance(item, Problem) or item.at is None:
        return item
    if item.at < EARLIEST:
        return invalid_field("/at", f"must not lie before {EARLIEST.year}")
    if item.at > now + AHEAD_MAX:
        return invalid_field("/at", "must not lie in the future")
    return msgspec.structs.replace(item, at=item.at.astimezone(UTC))


def _shown(said: Statement) -> ConsentResponse:
    return ConsentResponse(
        channel=said.channel,
        status="refused" if said.refused else "granted",
        at=said.at,
        source=said.source,
        recorded_at=said.recorded_at,
        recorded_by="customer" if said.recorded_by == THE_CUSTOMER else key_id(said.recorded_by),
        link_made_by=None if said.link_made_by is None else key_id(said.link_made_by),
        said_of=public_number(said.customer),
    )
