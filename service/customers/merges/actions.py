"""Attaching names to customers, merging and splitting them.

attach, attach_one    names that belong to the customer with an id
merge, split          join or separate customers, and record it in the audit trail
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.directory import ATTEMPTS, CustomerDirectory
from service.customers.identities import Identity, OurNumber, identities, is_id, named, no_such_customer
from service.customers.merges import writing
from service.customers.merges.rules import Attach, Merge, MergeResult, Split, SplitResult
from service.customers.merges.schemas import (
    CustomerAnswer,
    CustomerRequest,
    MergeRequest,
    NamesRequest,
    SplitAnswer,
    SplitRequest,
)
from service.customers.new_names import ConcurrentChange
from service.customers.schemas import CustomerRef
from service.customers.tombstones import customer_erased
from service.http.identifiers import CUSTOMER_ID_PREFIX, customer_id
from service.http.problems import Problem, invalid_field, not_found
from service.storage.database import driver_of

if TYPE_CHECKING:
    from service.services import Services

_CHUNK = 1_000
"""Longer batches are split: the brand's other merges and attachments wait while one is written."""

_IS_OURS = f"must not begin with {CUSTOMER_ID_PREFIX}, which is reserved for our numbers"


async def attach(
    services: Services, brand: Brand, items: Sequence[CustomerRequest | Problem]
) -> list[CustomerAnswer | Problem]:
    """Attach each item's other names to the customer with its id. Errors are per item."""
    directory = services.customers
    read = [item if isinstance(item, Problem) else _change_of(item, brand, directory) for item in items]
    erased = await directory.tombstones.among(
        brand.brand_id, [name for each in read if isinstance(each, Attach) for name in each.names]
    )
    if erased:
        read = [
            customer_erased() if isinstance(each, Attach) and any(name.mac in erased for name in each.names) else each
            for each in read
        ]
    changes = [(index, change) for index, change in enumerate(read) if isinstance(change, Attach)]
    answers: dict[int, CustomerAnswer | Problem] = {}
    for start in range(0, len(changes), _CHUNK):
        part = changes[start : start + _CHUNK]
        joined = await writing.merge(services, brand, [change for _, change in part])
        ids = [item.id for index, _ in part if isinstance(item := items[index], CustomerRequest)]
        answered = await _answer(services, brand, ids, joined)
        answers |= {index: answer for (index, _), answer in zip(part, answered, strict=True)}
    return [each if isinstance(each, Problem) else answers[index] for index, each in enumerate(read)]


async def attach_one(services: Services, brand: Brand, own_id: str, wanted: NamesRequest) -> CustomerAnswer:
    """Attach names to the customer with the id in the path."""
    if not is_id(own_id):
        raise not_found("customer")
    # A problem with the id points at the item.
    item = CustomerRequest(id=own_id, email=wanted.email, phone=wanted.phone, device=wanted.device)
    (answer,) = await attach(services, brand, [item])
    if isinstance(answer, Problem):
        raise answer
    return answer


async def merge(services: Services, principal: Principal, own_id: str, wanted: MergeRequest) -> CustomerAnswer:
    """Merge the customer named by ``wanted`` into the one with the id. Repeating it changes nothing."""
    brand = principal.brand
    survivor, name = await _two_names(services, brand, own_id, wanted.from_, at="/from")
    joined = await _merge_and_record(services, principal, Merge(survivor, name))
    (answer,) = await _answer(services, brand, [own_id], [joined])
    if isinstance(answer, Problem):
        raise answer
    return answer


async def split(services: Services, principal: Principal, own_id: str, wanted: SplitRequest) -> SplitAnswer:
    """Split the customer named by ``wanted`` off from the one with the id. Repeating it changes nothing."""
    ledger = services.ledger
    brand = principal.brand
    whole, name = await _two_names(services, brand, own_id, wanted.customer, at="/customer")
    parted = await _split_and_record(services, principal, Split(whole, name))
    if isinstance(parted, Problem):
        raise parted
    await customers.settle(services, brand, parted.number)
    left, balance = await customers.look(services, brand, await customers.settle(services, brand, parted.survivor))
    return SplitAnswer(
        customer=own_id,
        confirmed=left.confirmed,
        split_off=customer_id(parted.number),
        points=await ledger.points_returned(brand.book, parted.number),
        balance=balance.spendable,
        balance_seq=balance.seq,
    )


async def _merge_and_record(services: Services, principal: Principal, change: Merge) -> MergeResult | Problem:
    """Merge in the look-ups, and record in the audit trail that it was done, in one transaction."""
    directory = services.customers
    engine = services.engine
    for _ in range(ATTEMPTS):
        try:
            async with engine.begin() as connection:
                (joined,) = await writing.merge_within(directory, await driver_of(connection), principal.brand, [change])
                if isinstance(joined, MergeResult) and (joined.absorbed_numbers or joined.attached):
                    # Not the names: we keep no names, and the trail is never erased.
                    done = {
                        "merged": [customer_id(number) for number in joined.absorbed_numbers],
                        "attached": [kind.name.lower() for kind in joined.attached],
                    }
                    survivor = joined.person.as_customer().customer
                    await record(connection, principal, "customer.merge", customer_id(survivor), after=done)
            writing.forget_merged(directory, [joined])
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
                parted = await writing.split_within(directory, await driver_of(connection), principal.brand, change)
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
    """Have the book follow, and say what each customer can spend then."""
    directory = services.customers
    ledger = services.ledger
    people = {each.person.now.as_customer() for each in joined if isinstance(each, MergeResult)}
    merged: dict[int, int] = {}
    for known in people:
        if not directory.is_settled(known):
            _, merged[known.customer] = await directory.settle_and_count(ledger, brand, known.customer)
    looked = await customers.points(services, brand, people)
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
                # If several items concern one customer, the first carries the merged points.
                merged_points=merged.pop(known.customer, 0),
                balance=balance,
                balance_seq=seq,
            )
        )
    return answers


async def _two_names(
    services: Services, brand: Brand, customer: str, other: CustomerRef, *, at: str
) -> tuple[Identity | OurNumber, Identity | OurNumber]:
    """The name in the path, and the one name that the body has ``at`` there. Raises the problem of either."""
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
        known = await directory.find_number(brand, person.number)
        if known is None:
            raise no_such_customer(at)
        if known.erased:
            raise customer_erased()
        return person
    return person[0]


def _change_of(item: CustomerRequest, brand: Brand, directory: CustomerDirectory) -> Attach | Problem:
    """The change that an item asks for. Its id must not look like one of our own numbers."""
    if item.id.startswith(CUSTOMER_ID_PREFIX):
        return invalid_field("/id", _IS_OURS)
    ref = CustomerRef(id=item.id, email=item.email, phone=item.phone, device=item.device)
    names = identities(ref, brand.brand_id, directory.keys, at="")
    return names if isinstance(names, Problem) else Attach(names)
