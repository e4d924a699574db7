"""Looking customers up.

resolve, find, by_number, find_number   from the brand's name for a customer to their number in the book
find_active                             the same for a redemption, with whether they may redeem
settle                                  bring the book in line after the ledger reports a stale customer
look                                    a customer's balance
points                                  what each of many customers can spend
look_up                                 what is known of many customers; creates nobody
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ledger import Balance
from service.auth import looks
from service.brands.brand import Brand
from service.concurrency.fairness import in_chunks
from service.customers.directory import ATTEMPTS, CustomerDirectory
from service.customers.identities import Identity, Named, OurNumber, named, no_such_customer
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef, LookupAnswer
from service.customers.tombstones import customer_erased
from service.customers.verification.actions import identities_of
from service.http.identifiers import customer_id
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services

_Found = TypeVar("_Found")


async def resolve(
    services: Services, brand: Brand, refs: Sequence[CustomerRef], *, may_attach: bool = True, dry_run: bool = False
) -> list[Customer | Problem]:
    """The customer of each of ``refs``, in order; a new name gets a number. Errors are per item.

    With ``dry_run`` nothing is written: each is who they would be if they alone were reported now, a new one has number 0.
    """
    directory = services.customers
    read = await in_chunks(lambda ref: named(ref, brand.brand_id, directory.keys), refs)
    resolve = partial(directory.resolve, brand, may_attach=may_attach, dry_run=dry_run)
    return await _each(directory, brand, read, resolve, at="/customer")


async def resolve_one(services: Services, brand: Brand, ref: CustomerRef, *, may_attach: bool) -> Customer | Problem:
    """Resolve one customer."""
    directory = services.customers
    person = named(ref, brand.brand_id, directory.keys)
    if isinstance(person, Problem):
        return person
    if isinstance(person, list):
        known = await directory.resolve_one(brand, person, may_attach=may_attach)
    else:
        known = await directory.find_number(brand, person.number) or no_such_customer("/customer")
    return _seen(_unless_erased(known))


async def find(
    services: Services, brand: Brand, ref: CustomerRef, *, now: bool = False, at: str | None = None
) -> Customer | None:
    """The customer named by ``ref``, if there is one; creates nobody. Raises the ``Problem`` of a malformed ``ref``.

    ``now`` bypasses the cache, for lists: nothing else tells them that a cached customer has been merged. ``at`` is where a
    body has ``ref``.
    """
    directory = services.customers
    person = named(ref, brand.brand_id, directory.keys, at=at)
    if isinstance(person, Problem):
        raise person
    if isinstance(person, OurNumber):
        known = await directory.find_number(brand, person.number)
        if known is None:
            raise no_such_customer(at)
    elif now:
        known = (await directory.find_each(brand, [person]))[0]
    else:
        known = await directory.find(brand, person)
    await _require_unerased(services, brand, person, known)
    return _seen(known if known is None or directory.is_settled(known) else await _settled(services, brand, known))


async def find_active(services: Services, brand: Brand, ref: CustomerRef) -> tuple[Customer | None, bool]:
    """The customer named by ``ref``, and whether they may redeem under it.

    They may if the brand has given an id for them, or a name in ``ref`` is verified; under our number, if any of their names
    is. A cached customer is never the reason for a refusal.
    """
    directory = services.customers
    person = named(ref, brand.brand_id, directory.keys)
    if isinstance(person, Problem):
        raise person
    if isinstance(person, OurNumber):
        known = await directory.find_number(brand, person.number)
        if known is None:
            raise no_such_customer("/customer")
        is_active = known.confirmed or known.verified
    else:
        known, is_active = await directory.find_active(brand, person)
    await _require_unerased(services, brand, person, known)
    known = known if known is None or directory.is_settled(known) else await _settled(services, brand, known)
    return _seen(known), is_active


async def find_each(services: Services, brand: Brand, refs: Sequence[CustomerRef | Problem]) -> list[Customer | Problem | None]:
    """The customer of each of ``refs``, in order and together, bypassing the cache. Errors are per item."""
    directory = services.customers
    read = [ref if isinstance(ref, Problem) else named(ref, brand.brand_id, directory.keys, at="") for ref in refs]
    return await _each(directory, brand, read, partial(directory.find_each, brand), at="")


async def _each(
    directory: CustomerDirectory,
    brand: Brand,
    read: Sequence[Named | Problem],
    by_names: Callable[[list[list[Identity]]], Awaitable[Sequence[_Found]]],
    *,
    at: str,
) -> list[_Found | Customer | Problem]:
    """Look up names with ``by_names`` and our own numbers by number; answers in order."""
    people = [each for each in read if isinstance(each, list)]
    found = iter(await by_names(people) if people else [])
    numbers = {each.number for each in read if isinstance(each, OurNumber)}
    numbered: Mapping[int, Customer] = await directory.find_numbers(brand, numbers) if numbers else {}
    answers: list[_Found | Customer | Problem] = []
    for each in read:
        if isinstance(each, Problem):
            answers.append(each)
        elif isinstance(each, OurNumber):
            answers.append(_unless_erased(numbered.get(each.number) or no_such_customer(at)))
        else:
            answers.append(_unless_erased(next(found)))
    for answer in answers:
        _seen(answer)
    return answers


def _seen(found: _Found) -> _Found:
    """Note who was looked up: who looks, if it is a person, is in the audit trail."""
    if isinstance(found, Customer):
        looks.see(found.customer)
    return found


def _unless_erased(known: _Found) -> _Found | Problem:
    return customer_erased() if isinstance(known, Customer) and known.erased else known


async def _require_unerased(services: Services, brand: Brand, person: Named, known: Customer | None) -> None:
    """Raise the problem of a customer who was erased, found by our number or by no name but theirs."""
    if known is None and isinstance(person, list):
        found = await services.customers.tombstones.among(brand.brand_id, person)
        if found:
            raise customer_erased()
    if known is not None and known.erased:
        raise customer_erased()


async def by_number(services: Services, brand: Brand, number: int) -> Customer:
    """The customer that a number given out earlier, for example in a link, belongs to now."""
    directory = services.customers
    return _seen(await directory.by_number(brand, number))


async def find_number(services: Services, brand: Brand, number: int) -> Customer | None:
    """The same, or ``None`` if it is no number of the brand's."""
    directory = services.customers
    known = await directory.find_number(brand, number)
    return _seen(known if known is None or directory.is_settled(known) else await _settled(services, brand, known))


async def settle(services: Services, brand: Brand, customer: int) -> Customer:
    """Bring the book in line with the look-ups after the ledger reports a stale customer; return the customer as of now."""
    directory = services.customers
    ledger = services.ledger
    return await directory.settle(ledger, brand, customer)


async def look(services: Services, brand: Brand, known: Customer) -> tuple[Customer, Balance]:
    """A customer's balance, and the customer as of now: they may have been merged since the look-up."""
    balances = services.balances
    for _ in range(ATTEMPTS):
        balance = await balances.get((brand.book, known.customer))
        assert balance is not None
        if balance.moved_to is None and balance.generation == known.generation:
            return known, balance
        known = await _settled(services, brand, known)
    raise RuntimeError("a customer was merged at every attempt")


async def points(services: Services, brand: Brand, people: Iterable[Customer]) -> dict[Customer, tuple[int, int]]:
    """What each customer can spend, and as of which seq: one statement, plus one for each customer merged since."""
    ledger = services.ledger
    wanted = dict.fromkeys(people)
    numbers = list(dict.fromkeys(known.customer for known in wanted))
    looks.see(*numbers)
    spendable = dict(zip(numbers, await ledger.spendable(brand.book, numbers), strict=True))
    looked: dict[Customer, tuple[int, int]] = {}
    for known in wanted:
        read = spendable[known.customer]
        if read.moved_to is None and read.generation == known.generation:
            looked[known] = (read.points, read.seq)
        else:
            _, balance = await look(services, brand, known)
            looked[known] = (balance.spendable, balance.seq)
    return looked


async def look_up(services: Services, brand: Brand, refs: Sequence[CustomerRef | Problem]) -> list[LookupAnswer | Problem]:
    """What is known of each of ``refs``, in order; creates nobody."""
    directory = services.customers
    read = [ref if isinstance(ref, Problem) else named(ref, brand.brand_id, directory.keys, at="") for ref in refs]
    found = await _each(directory, brand, read, partial(directory.find_each, brand), at="")
    looked = await points(services, brand, [known for known in found if isinstance(known, Customer)])
    met = [
        (person if isinstance(person, list) else [], known)
        for person, known in zip(read, found, strict=True)
        if isinstance(known, Customer)
    ]
    identities_of_each = iter(await identities_of(services, brand, met))
    duplicates_of_each = iter(await directory.duplicates([names for names, _ in met]))
    answers: list[LookupAnswer | Problem] = []
    for known in found:
        if isinstance(known, Problem):
            answers.append(known)
        elif known is None:
            answers.append(LookupAnswer(known=False, confirmed=False, balance=0, balance_seq=0))
        else:
            balance, seq = looked[known]
            answers.append(
                LookupAnswer(
                    known=True,
                    confirmed=known.confirmed,
                    balance=balance,
                    balance_seq=seq,
                    verified=known.verified,
                    identities=next(identities_of_each),
                    duplicates=[customer_id(number) for number in sorted(next(duplicates_of_each))],
                )
            )
    return answers


async def _settled(services: Services, brand: Brand, known: Customer) -> Customer:
    """The same customer as of now, under the same name."""
    return await settle(services, brand, known.named)
