"""Writing into the look-ups which names are one customer. The book is still to follow: see ``CustomerDirectory.settle``.

    merge            attach names and merge customers, in a transaction of its own
    merge_within     the same in the caller's transaction; after its commit, ``forget_merged``
    split_within     split a number off from its customer, in the caller's transaction

What changes anything is decided under the brand's lock, which keeps others from changing what it was decided on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import asyncpg

from service.brands.brand import Brand
from service.customers import queries
from service.customers.directory import ATTEMPTS, CustomerDirectory
from service.customers.identities import Identity, IdentityKind, OurNumber
from service.customers.merges import queries as merge_queries
from service.customers.merges.rules import FIELDS, Attach, Decision, Merge, MergeResult, Split, SplitResult, decide
from service.customers.new_names import ConcurrentChange
from service.customers.opt_outs import refresh_opt_outs
from service.customers.queries import Customer
from service.customers.tombstones import customer_erased
from service.http.problems import FieldError, Problem, not_found

if TYPE_CHECKING:
    from service.services import Services


async def merge(services: Services, brand: Brand, changes: Sequence[Attach | Merge]) -> list[MergeResult | Problem]:
    """Make each of ``changes`` in the look-ups, in order. The book is still to follow: see ``settle``."""
    wanted = _names(changes)
    found = await queries.find(services.pool, wanted)
    decision = decide(found.known, changes, await queries.device_only(services.pool, _owners_of_devices(changes, found.known)))
    if decision.changes_nothing and not found.outdated:
        return decision.answers
    for _ in range(ATTEMPTS):
        with contextlib.suppress(ConcurrentChange, asyncpg.DeadlockDetectedError):
            async with services.pool.acquire() as connection, connection.transaction():
                joined = await merge_within(services.customers, connection, brand, changes)
            forget_merged(services.customers, joined)
            return joined
    raise RuntimeError("customers were changed elsewhere at every attempt")


async def merge_within(
    directory: CustomerDirectory, connection: queries.Connection, brand: Brand, changes: Sequence[Attach | Merge]
) -> list[MergeResult | Problem]:
    """The same in the caller's transaction, which is void if this raises ``ConcurrentChange``."""
    await queries.lock(connection, brand)
    names = [name for name in _names(changes) if isinstance(name, Identity)]
    if await directory.tombstones.among(brand.brand_id, names, over=connection):
        # No erasure begins while the brand is locked.
        raise customer_erased()
    found = await queries.find(connection, _names(changes))
    await queries.rehash(connection, brand, found.outdated)
    decision = decide(found.known, changes, await queries.device_only(connection, _owners_of_devices(changes, found.known)))
    await _write(connection, brand, decision)
    # Before the commit, so another task may cache them once more as they were; a stale entry is harmless.
    directory.forget(number for person in decision.people for number in person.numbers())
    return decision.answers


def forget_merged(directory: CustomerDirectory, joined: Iterable[MergeResult | Problem]) -> None:
    """Forget merged customers, after the commit: what was read before must not stay cached."""
    directory.forget(number for each in joined if isinstance(each, MergeResult) for number in each.person.now.numbers())


async def split_within(
    directory: CustomerDirectory, connection: queries.Connection, brand: Brand, change: Split
) -> SplitResult | Problem:
    """Split a number off from its customer in the look-ups, in the caller's transaction."""
    await queries.lock(connection, brand)
    found = await queries.find(connection, [change.whole, change.name])
    await queries.rehash(connection, brand, found.outdated)
    parted = await _split(connection, brand, found.known, change)
    directory.forget(number for known in found.known.values() for number in (known.customer, *known.former))
    return parted


def _names(changes: Sequence[Attach | Merge]) -> list[Identity | OurNumber]:
    return [
        name for change in changes for name in (change.names if isinstance(change, Attach) else (change.survivor, change.name))
    ]


def _owners_of_devices(changes: Sequence[Attach | Merge], known: Mapping[bytes, Customer]) -> set[int]:
    """The owners of the devices to attach, if they have no id."""
    names = [
        name for change in changes if isinstance(change, Attach) for name in change.names if name.kind is IdentityKind.DEVICE
    ]
    owners = [known[name.mac] for name in names if name.mac in known]
    return {owner.customer for owner in owners if not owner.confirmed}


async def _write(connection: queries.Connection, brand: Brand, decision: Decision) -> None:
    """Write what was decided. Raises ``ConcurrentChange``, which voids the transaction, if the decision no longer applies."""
    new = [person for person in decision.people if person.known is None]
    for person, number in zip(new, await queries.create(connection, brand, [each.confirmed for each in new]), strict=True):
        person.number = number
    stored = [(person, person.known) for person in decision.people if person.known is not None]
    confirmed = [known.customer for person, known in stored if person.into is None and person.confirmed and not known.confirmed]
    moves = {
        number: (person.now.stored_number, known.confirmed)
        for person, known in stored
        if person.into is not None
        for number in (known.customer, *known.former)
    }
    survivors = [each for each in decision.people if each.into is None and each.absorbed]
    absorbed = {each.stored_number: (each.size - 1, bool(each.past())) for each in survivors}
    pairs = [(identity, person.stored_number) for identity, person in decision.attached]
    generation = (
        await merge_queries.merge(connection, moves, absorbed) if await queries.confirm(connection, confirmed) else None
    )
    if generation is None or await queries.attach(connection, brand, pairs) != len(pairs):
        raise ConcurrentChange
    verified = [each.stored_number for each in decision.people if each.into is None and each.absorbed and each.verified]
    if verified:
        await queries.refresh_verified(connection, verified)
    if absorbed:
        # The merged customers' consents now have one history.
        await refresh_opt_outs(connection, brand, sorted(absorbed))
    for each in survivors:
        each.generation = generation or each.generation


async def _split(
    connection: queries.Connection, brand: Brand, known: Mapping[bytes, Customer], change: Split
) -> SplitResult | Problem:
    """Decide on a split, and write it; ``known`` says whose the names are that somebody has."""
    whole, named = known.get(change.whole.mac), known.get(change.name.mac)
    if whole is None or named is None:
        return not_found("customer")
    number, field = named.named, FIELDS[change.name.kind]
    if number in {whole.named, whole.customer}:
        return _nothing_to_split(field, "belongs to the customer's own number, not to one that was merged into it")
    if named.customer == whole.customer:
        rest = [whole.customer, *(each for each in whole.former if each != number)]
        await merge_queries.split(connection, number, rest)
        await queries.refresh_verified(connection, [number, whole.customer])
        await refresh_opt_outs(connection, brand, [number, whole.customer])
        return SplitResult(number, whole.customer, again=False)
    if named.customer == number and await merge_queries.were_one(connection, number, [whole.customer, *whole.former]):
        return SplitResult(number, whole.customer, again=True)
    return _nothing_to_split(field, "belongs to a customer who was not merged into this one; name one who was")


def _nothing_to_split(field: str, detail: str) -> Problem:
    pointer = f"/customer/{field}"
    return Problem("nothing_to_split", f"{pointer}: {detail}", errors=[FieldError(pointer, "nothing_to_split", detail)])
