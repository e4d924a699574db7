"""Names that nobody has yet: which customer gets each, a known one or a new one.

    decide          who reported people are, and what to write; pure
    decide_alone    who each would be if they alone were reported; pure
    write           write what was decided, in one transaction
    write_within    the same in the caller's transaction

A name goes to the customer with the names it comes with. ``CustomerDirectory.resolve`` says who may not join whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg

from service.brands.brand import Brand
from service.customers import queries
from service.customers.identities import Identity, IdentityKind, without_shared_device
from service.customers.queries import Customer

_NOBODY_YET = Customer(0, confirmed=False, former=(), named=0)


class ConcurrentChange(Exception):
    """One of these customers was changed concurrently: read them again."""


class NewCustomer:
    """A customer who has no number yet."""

    def __init__(self) -> None:
        self.identities: list[Identity] = []

    @property
    def confirmed(self) -> bool:
        """Whether the brand has given its own id for them."""
        return any(identity.kind is IdentityKind.ID for identity in self.identities)


Owner: TypeAlias = "Customer | NewCustomer"
"""Whose a name is."""


class Decision:
    """Who each person is, and what to write."""

    def __init__(self) -> None:
        self.people: list[Owner] = []
        self.new: list[NewCustomer] = []
        self.attached: list[tuple[Identity, Customer]] = []
        self.to_confirm: set[int] = set()
        """Customers who get their first id of the brand's own."""
        self.by_device: set[int] = set()
        """Customers known by devices alone who get their first other name."""

    @property
    def changes_nothing(self) -> bool:
        """Whether everybody is known, and nobody gets a name."""
        return not self.new and not self.attached


def decide(
    people: Sequence[Sequence[Identity]], owners: dict[bytes, Owner], device_only: set[int], *, may_attach: bool
) -> Decision:
    """Decide who each of ``people`` is, in order.

    ``owners`` says whose the stored names are, and ``device_only`` which of these customers have no name but devices. Both
    are kept up to date with what is decided.
    """
    decision = Decision()
    for person in people:
        owner = _owner(person, owners, decision.to_confirm)
        if owner is None:
            owner = _if_device_only(owner_by_device(person, owners), device_only)
            if isinstance(owner, Customer) and may_attach:
                # The next person on this device is another customer.
                device_only.discard(owner.customer)
                decision.by_device.add(owner.customer)
        if owner is None:
            owner = NewCustomer()
            decision.new.append(owner)
        decision.people.append(owner)
        for identity in person:
            if identity.mac in owners or (isinstance(owner, Customer) and not may_attach):
                continue
            owners[identity.mac] = owner
            if isinstance(owner, NewCustomer):
                owner.identities.append(identity)
            else:
                decision.attached.append((identity, owner))
                if identity.kind is IdentityKind.ID:
                    decision.to_confirm.add(owner.customer)
    return decision


def decide_alone(people: Sequence[Sequence[Identity]], owners: Mapping[bytes, Owner], device_only: set[int]) -> list[Customer]:
    """Decide who each of ``people`` would be alone; a new customer has number 0."""
    found = [
        _owner(person, owners, set()) or _if_device_only(owner_by_device(person, owners), device_only) for person in people
    ]
    return [with_opt_outs(owner or _NOBODY_YET, person, owners) for owner, person in zip(found, people, strict=True)]


async def write(pool: asyncpg.Pool[Any], brand: Brand, decision: Decision) -> bool:
    """Create and attach in one transaction; ``False`` if one of the customers was changed concurrently."""
    try:
        async with pool.acquire() as connection, connection.transaction():
            await write_within(connection, brand, decision)
    except (ConcurrentChange, asyncpg.DeadlockDetectedError):
        return False
    return True


async def write_within(connection: queries.Connection, brand: Brand, decision: Decision) -> list[Customer]:
    """Create and attach in the caller's transaction, which is void if this raises ``ConcurrentChange``. Returns who each person
    of the decision is.
    """
    unchanged = (
        await _still_unattached(connection, brand, decision)
        and await _still_device_only(connection, brand, decision.by_device)
        and await _owners_unchanged(connection, decision.attached)
        and await queries.confirm(connection, sorted(decision.to_confirm))
    )
    if not unchanged:
        raise ConcurrentChange
    numbers = await queries.create(connection, brand, [each.confirmed for each in decision.new])
    pairs = [(identity, known.customer) for identity, known in decision.attached]
    new = dict(zip(decision.new, numbers, strict=True))
    pairs += [(identity, number) for each, number in new.items() for identity in each.identities]
    await queries.attach(connection, brand, pairs)
    return [
        each if isinstance(each, Customer) else Customer(new[each], each.confirmed, (), new[each]) for each in decision.people
    ]


def owner_by_device(person: Sequence[Identity], owners: Mapping[bytes, Owner]) -> Owner | None:
    """The owner of a device, where nobody has any of the names that come with it."""
    device = person[-1]
    if device.kind is not IdentityKind.DEVICE or len(person) == 1 or any(name.mac in owners for name in person[:-1]):
        return None
    return owners.get(device.mac)


def with_opt_outs(owner: Owner, person: Sequence[Identity], known: Mapping[bytes, Owner]) -> Customer:
    """The customer, with the opt-outs of any other customer that a name leads to."""
    assert isinstance(owner, Customer)
    for identity in person:
        other = known.get(identity.mac)
        if isinstance(other, Customer):
            owner = owner.with_opt_outs_of(other)
    return owner


def _owner(person: Sequence[Identity], owners: Mapping[bytes, Owner], confirmed: set[int]) -> Owner | None:
    """The customer of the strongest stored identity. An id that nobody has yet joins only a customer without one."""
    owner = next((owners[identity.mac] for identity in without_shared_device(person) if identity.mac in owners), None)
    if owner is None:
        return None
    brings_an_id = person[0].kind is IdentityKind.ID and person[0].mac not in owners
    has_an_id = owner.confirmed or (isinstance(owner, Customer) and owner.customer in confirmed)
    return None if brings_an_id and has_an_id else owner


def _if_device_only(owner: Owner | None, device_only: set[int]) -> Owner | None:
    """The owner of a device, if they have no other names."""
    if isinstance(owner, Customer):
        return owner if owner.customer in device_only else None
    return owner if owner is None or all(name.kind is IdentityKind.DEVICE for name in owner.identities) else None


async def _owners_unchanged(connection: queries.Connection, attached: Sequence[tuple[Identity, Customer]]) -> bool:
    """Whether those who get a name were not merged, split or erased since the look-up, and are not until the transaction ends.

    A name attached to another could not be taken back, and one attached to an erased customer would stay.
    """
    owners = {known.customer: known.generation for _, known in attached}
    return not owners or await queries.lock_each(connection, owners) == owners


async def _still_unattached(connection: queries.Connection, brand: Brand, decision: Decision) -> bool:
    """Whether nobody has these identities yet, where the table's primary key alone does not ensure it.

    That is while there are two keys: a process that uses the other one stores them as other rows.
    """
    wanted = [identity for identity, _ in decision.attached]
    wanted += [identity for each in decision.new for identity in each.identities]
    if not wanted or len({stored.key_no for stored in wanted[0].stored_as}) == 1:
        return True
    await queries.lock(connection, brand)
    return not (await queries.find(connection, wanted)).known


async def _still_device_only(connection: queries.Connection, brand: Brand, owners: set[int]) -> bool:
    """Whether the owners of devices have no other name yet. Two people who use one device at once take turns."""
    if not owners:
        return True
    await queries.lock(connection, brand)
    return await queries.device_only(connection, owners) == owners
