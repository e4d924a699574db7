"""Finding out who is meant, and saying who is one.

resolve, find, by_number, find_number    from what the brand calls a customer to who she is in the book
find_active                 the same for a redemption: whether she may
settle_group                what to do when the ledger says that she has moved
look                        her balance, as she is now
points                      of many customers, what each can spend
attach, merge, split        the brand says that several names are one customer, or are not after all
look_up                     what is known of many customers; nobody is created
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from ledger import Balance
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.concurrency.fairness import in_chunks
from service.customers.directory import ATTEMPTS, CustomerDirectory
from service.customers.identities import Identity, Named, OurNumber, identities, is_id, named, no_such_customer
from service.customers.merge_rules import Attach, ConcurrentChange, Merge, MergeResult, Split, SplitResult
from service.customers.queries import Customer
from service.customers.schemas import (
    CustomerAnswer,
    CustomerRef,
    CustomerRequest,
    LookupAnswer,
    MergeRequest,
    NamesRequest,
    SplitAnswer,
    SplitRequest,
)
from service.customers.verification import identities_of
from service.http.identifiers import CUSTOMER_ID_PREFIX, customer_id
from service.http.problems import Problem, invalid_field, not_found
from service.storage.database import driver_of

if TYPE_CHECKING:
    from service.services import Services

_CHUNK = 1_000
"""A longer batch is cut: nobody else of the brand can merge or attach while one is written."""

_Found = TypeVar("_Found")

_IS_OURS = f"must not begin with {CUSTOMER_ID_PREFIX}, which is reserved for our numbers"


async def resolve(
    services: Services, brand: Brand, refs: Sequence[CustomerRef], *, may_attach: bool = True
) -> list[Customer | Problem]:
    """Who each of ``refs`` is, in order; whom nobody knows gets a number. What is wrong is its own problem."""
    directory = services.customers
    read = await in_chunks(lambda ref: named(ref, brand.brand_id, directory.keys), refs)
    resolve = partial(directory.resolve, brand, may_attach=may_attach)
    return await _each(directory, brand, read, resolve, at="/customer")


async def resolve_one(services: Services, brand: Brand, ref: CustomerRef, *, may_attach: bool) -> Customer | Problem:
    """The same for one."""
    directory = services.customers
    person = named(ref, brand.brand_id, directory.keys)
    if isinstance(person, list):
        return await directory.resolve_one(brand, person, may_attach=may_attach)
    if isinstance(person, Problem):
        return person
    return await directory.find_number(brand, person.number) or no_such_customer("/customer")


async def foresee(services: Services, brand: Brand, refs: Sequence[CustomerRef]) -> list[Customer | Problem]:
    """Who each of ``refs`` would be if she were reported now, in order; whom nobody knows has the number 0, and gets none."""
    directory = services.customers
    read = [named(ref, brand.brand_id, directory.keys) for ref in refs]
    return await _each(directory, brand, read, partial(directory.foresee, brand), at="/customer")


async def find(
    services: Services, brand: Brand, ref: CustomerRef, *, now: bool = False, at: str | None = None
) -> Customer | None:
    """The customer whom ``ref`` names, if there is one; nobody is created. Raises the ``Problem`` of a malformed ``ref``.

    ``now`` is for lists, of which nothing else would say that who is remembered has been merged since. ``at`` is where a body
    has ``ref``.
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
    return known if known is None or directory.is_settled(known) else await _settled(services, brand, known)


async def find_active(services: Services, brand: Brand, ref: CustomerRef) -> tuple[Customer | None, bool]:
    """The customer whom ``ref`` names, and whether they may redeem under it.

    She may where the brand has given her an id, or a name given is verified; by our number, once any name of hers is. That she
    may not is never from an old memory.
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
    return known if known is None or directory.is_settled(known) else await _settled(services, brand, known), is_active


async def find_each(services: Services, brand: Brand, refs: Sequence[CustomerRef | Problem]) -> list[Customer | Problem | None]:
    """The same for each of ``refs``, in order and in one statement, as they are now. What is wrong is its own problem."""
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
    """What ``by_names`` says of those who are named by what the brand calls them, and who has the other's numbers; in order."""
    people = [each for each in read if isinstance(each, list)]
    found = iter(await by_names(people) if people else [])
    numbers = {each.number for each in read if isinstance(each, OurNumber)}
    numbered: Mapping[int, Customer] = await directory.find_numbers(brand, numbers) if numbers else {}
    answers: list[_Found | Customer | Problem] = []
    for each in read:
        if isinstance(each, Problem):
            answers.append(each)
        elif isinstance(each, OurNumber):
            answers.append(numbered.get(each.number) or no_such_customer(at))
        else:
            answers.append(next(found))
    return answers


async def by_number(services: Services, brand: Brand, number: int) -> Customer:
    """Who the customer of a number is now that was given out before: a link's, say."""
    directory = services.customers
    return await directory.by_number(brand, number)


async def find_number(services: Services, brand: Brand, number: int) -> Customer | None:
    """The same, if it is a number of the brand's."""
    directory = services.customers
    known = await directory.find_number(brand, number)
    return known if known is None or directory.is_settled(known) else await _settled(services, brand, known)


async def settle(services: Services, brand: Brand, customer: int) -> Customer:
    """What to do when the ledger says that a customer has moved: make it agree with the look-ups, and say who she is now."""
    directory = services.customers
    ledger = services.ledger
    return await directory.settle(ledger, brand, customer)


async def look(services: Services, brand: Brand, known: Customer) -> tuple[Customer, Balance]:
    """What a customer has, and who she is now: she may have been merged since she was looked up."""
    balances = services.balances
    for _ in range(ATTEMPTS):
        balance = await balances.get((brand.book, known.customer))
        assert balance is not None
        if balance.moved_to is None and balance.generation == known.generation:
            return known, balance
        known = await _settled(services, brand, known)
    raise RuntimeError("a customer was merged at every attempt")


async def points(services: Services, brand: Brand, people: Iterable[Customer]) -> dict[Customer, tuple[int, int]]:
    """What each customer can spend, and as of which seq: all in one statement, but for who was merged since."""
    ledger = services.ledger
    wanted = dict.fromkeys(people)
    numbers = list(dict.fromkeys(known.customer for known in wanted))
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


async def attach(
    services: Services, brand: Brand, items: Sequence[CustomerRequest | Problem]
) -> list[CustomerAnswer | Problem]:
    """Let each item's other names be names of the brand's own id. What is wrong with one item concerns that item alone."""
    directory = services.customers
    read = [item if isinstance(item, Problem) else _change_of(item, brand, directory) for item in items]
    changes = [(index, change) for index, change in enumerate(read) if isinstance(change, Attach)]
    answers: dict[int, CustomerAnswer | Problem] = {}
    for start in range(0, len(changes), _CHUNK):
        part = changes[start : start + _CHUNK]
        joined = await directory.merge(brand, [change for _, change in part])
        ids = [item.id for index, _ in part if isinstance(item := items[index], CustomerRequest)]
        answered = await _answer(services, brand, ids, joined)
        answers |= {index: answer for (index, _), answer in zip(part, answered, strict=True)}
    return [each if isinstance(each, Problem) else answers[index] for index, each in enumerate(read)]


async def attach_one(services: Services, brand: Brand, own_id: str, wanted: NamesRequest) -> CustomerAnswer:
    """The same for one customer, whose id the path has."""
    if not is_id(own_id):
        raise not_found("customer")
    # What is wrong with the id is said of the item's.
    item = CustomerRequest(id=own_id, email=wanted.email, phone=wanted.phone, device=wanted.device)
    (answer,) = await attach(services, brand, [item])
    if isinstance(answer, Problem):
        raise answer
    return answer


async def merge(services: Services, principal: Principal, own_id: str, wanted: MergeRequest) -> CustomerAnswer:
    """Make whoever ``wanted`` names one with the customer of an id, who survives. The same again changes nothing."""
    brand = principal.brand
    survivor, name = await _two_names(services, brand, own_id, wanted.from_, at="/from")
    joined = await _merge_and_record(services, principal, Merge(survivor, name))
    (answer,) = await _answer(services, brand, [own_id], [joined])
    if isinstance(answer, Problem):
        raise answer
    return answer


async def split(services: Services, principal: Principal, own_id: str, wanted: SplitRequest) -> SplitAnswer:
    """Let whoever ``wanted`` names be a customer of her own again, not that of an id. The same again changes nothing."""
    ledger = services.ledger
    brand = principal.brand
    whole, name = await _two_names(services, brand, own_id, wanted.customer, at="/customer")
    parted = await _split_and_record(services, principal, Split(whole, name))
    if isinstance(parted, Problem):
        raise parted
    await settle(services, brand, parted.number)
    left, balance = await look(services, brand, await settle(services, brand, parted.survivor))
    return SplitAnswer(
        customer=own_id,
        confirmed=left.confirmed,
        split_off=customer_id(parted.number),
        points=await ledger.points_returned(brand.book, parted.number),
        balance=balance.spendable,
        balance_seq=balance.seq,
    )


async def look_up(services: Services, brand: Brand, refs: Sequence[CustomerRef | Problem]) -> list[LookupAnswer | Problem]:
    """What is known of each of ``refs``, in order; nobody is created."""
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
    """The same customer as she is now, still named as she was."""
    return await settle(services, brand, known.named)


async def _merge_and_record(services: Services, principal: Principal, change: Merge) -> MergeResult | Problem:
    """Merge in the look-ups, and record in the audit trail that it was done, in one transaction."""
    directory = services.customers
    engine = services.engine
    for _ in range(ATTEMPTS):
        try:
            async with engine.begin() as connection:
                (joined,) = await directory.merge_within(await driver_of(connection), principal.brand, [change])
                if isinstance(joined, MergeResult) and (joined.absorbed_numbers or joined.attached):
                    # Not the names: what a brand calls somebody is not kept, least of all for ever.
                    done = {
                        "merged": [customer_id(number) for number in joined.absorbed_numbers],
                        "attached": [kind.name.lower() for kind in joined.attached],
                    }
                    survivor = joined.person.as_customer().customer
                    await record(connection, principal, "customer.merge", customer_id(survivor), after=done)
            directory.forget_merged([joined])
            return joined
        except (ConcurrentChange, asyncpg.DeadlockDetectedError):
            continue
    raise RuntimeError("customers were changed elsewhere at every attempt")


async def _split_and_record(services: Services, principal: Principal, change: Split) -> SplitResult | Problem:
    """Split in the look-ups, and record in the audit trail that it was done, in one transaction."""
    directory = services.customers
    engine = services.engine
    for _ in range(ATTEMPTS):
        try:
            async with engine.begin() as connection:
                parted = await directory.split_within(await driver_of(connection), principal.brand, change)
                if isinstance(parted, SplitResult) and not parted.again:
                    done = {"split_off": customer_id(parted.number)}
                    await record(connection, principal, "customer.split", customer_id(parted.survivor), after=done)
                return parted
        except asyncpg.DeadlockDetectedError:
            continue
    raise RuntimeError("customers were changed elsewhere at every attempt")


async def _answer(
    services: Services, brand: Brand, ids: Sequence[str], joined: Sequence[MergeResult | Problem]
) -> list[CustomerAnswer | Problem]:
    """Have the book do what was decided, and say what each customer can spend then."""
    directory = services.customers
    ledger = services.ledger
    people = {each.person.now.as_customer() for each in joined if isinstance(each, MergeResult)}
    merged: dict[int, int] = {}
    for known in people:
        if not directory.is_settled(known):
            _, merged[known.customer] = await directory.settle_and_count(ledger, brand, known.customer)
    looked = await points(services, brand, people)
    answers: list[CustomerAnswer | Problem] = []
    for own_id, each in zip(ids, joined, strict=True):
        if isinstance(each, Problem):
            answers.append(each)
            continue
        known = each.person.now.as_customer()
        balance, seq = looked[known]
        answers.append(
            CustomerAnswer(
                customer=own_id,
                known=True,
                confirmed=known.confirmed,
                merged=each.merged,
                # Of several items about one customer the first says what came to her.
                merged_points=merged.pop(known.customer, 0),
                balance=balance,
                balance_seq=seq,
            )
        )
    return answers


async def _two_names(
    services: Services, brand: Brand, customer: str, other: CustomerRef, *, at: str
) -> tuple[Identity | OurNumber, Identity | OurNumber]:
    """Whom the path names, and the one name that the body has ``at`` there. Raises what is wrong with either."""
    directory = services.customers
    if [other.id, other.email, other.phone, other.device].count(None) != 3:
        raise invalid_field(at, "needs exactly one of id, email, phone and device")
    if not is_id(customer):
        raise not_found("customer")
    return (
        await _one_name(directory, brand, CustomerRef(id=customer), at=None),
        await _one_name(directory, brand, other, at=at),
    )


async def _one_name(directory: CustomerDirectory, brand: Brand, ref: CustomerRef, *, at: str | None) -> Identity | OurNumber:
    person = named(ref, brand.brand_id, directory.keys, at=at)
    if isinstance(person, Problem):
        raise person
    if isinstance(person, OurNumber):
        if await directory.find_number(brand, person.number) is None:
            raise no_such_customer(at)
        return person
    return person[0]


def _change_of(item: CustomerRequest, brand: Brand, directory: CustomerDirectory) -> Attach | Problem:
    """What an item wishes for: its id is one of the brand's own, so that nobody is taken for one of our numbers."""
    if item.id.startswith(CUSTOMER_ID_PREFIX):
        return invalid_field("/id", _IS_OURS)
    ref = CustomerRef(id=item.id, email=item.email, phone=item.phone, device=item.device)
    names = identities(ref, brand.brand_id, directory.keys, at="")
    return names if isinstance(names, Problem) else Attach(names)
