"""Which customer an identity belongs to. A look-up is one statement for all who wait for one; what was found is remembered.

    find            looks up, creates nothing
    find_active     the same, and whether she may redeem under the names given
    resolve         looks up; whom nobody knows gets a number
    foresee         whom `resolve` would say that somebody is; nobody gets a number
    join            attaches names and merges, as far as it is allowed
    split_within    takes apart again who was merged by mistake
    by_number       whom a number that was given out before stands for now
    settle          brings the book in line with who was merged and split, and forgets what was remembered of them
    forget          has customers looked up anew

An identity keeps the number it was attached to; which customer a number stands for changes when she is merged into another
(``customer.merged_into``), and when she is split off again. What is remembered of that may be old. It does no harm: every
merge and split gives those whom it concerns a new generation, and the ledger pays nobody for whom it is told another than it
knows; it says that she has moved, and ``settle`` is the answer.

When she refused which channels is remembered too, and no ledger would notice that it is old. So each brand counts the changes
of its customers' consents. The brand that comes with a key has the count of at most a second ago; where it is higher than the
one that was heard of last, those whom the changes concern are forgotten first.

The transactions here are committed before anything is posted, and posting is idempotent: a crash in between leaves a customer
without points, or a merge that the book does not know yet. The next report or look at her balance finds and finishes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg
import msgspec

from ledger import Ledger, MergeOutcome
from service.brands.brand import Brand
from service.concurrency.batch_loader import BatchLoader
from service.customers import queries
from service.customers.identities import Identity, IdentityKind, OurNumber, without_shared_device
from service.customers.merge_rules import Attach, ConcurrentChange, Merge, MergeResult, Split, SplitResult, decide, split, write
from service.customers.opt_outs import changed_since
from service.customers.queries import Customer
from service.http.problems import Problem
from service.settings import IdentityKey
from service.storage.database import KeptConnection

CACHE_SIZE_MAX = 20_000
"""So many names and so many customers, some 400 bytes for one of each: what a process remembers is to fit into its memory."""
COALESCED_MAX = 8
"""Look-ups of at most so many names are made together with others that wait; more are a statement of their own anyway."""
CONSENT_CHANGES_MAX = 20_000
"""If more customers' consents were changed since the last look, everybody is forgotten instead of them."""
ATTEMPTS = 5
"""How often something is tried again because others changed the same customers."""


_NEW_CUSTOMER = Customer(0, confirmed=False, former=(), named=0)


class _New:
    """A customer of this batch who has no number yet."""

    def __init__(self) -> None:
        self.identities: list[Identity] = []

    @property
    def confirmed(self) -> bool:
        return any(identity.kind is IdentityKind.ID for identity in self.identities)


class CustomerDirectory:
    """Customers by identity. The last of ``keys`` is the one in use."""

    def __init__(self, pool: asyncpg.Pool[Any], keys: Sequence[IdentityKey], *, kept: KeptConnection | None = None) -> None:
        """``kept`` is for the look-ups that are made together; without one, they go through the pool."""
        self._pool = pool
        self.keys = tuple(keys)
        self._number_of_mac: OrderedDict[bytes, int] = OrderedDict()
        self._by_number: OrderedDict[int, Customer] = OrderedDict()
        self._settled: dict[int, int] = {}
        self._consents_seen: dict[int, int] = {}
        self._refreshing = asyncio.Lock()
        self._cache_epoch = 0
        self._loader: BatchLoader[bytes, Customer] = BatchLoader(partial(queries.find_stored, kept or pool))

    async def find(self, brand: Brand, identities: Sequence[Identity]) -> Customer | None:
        """The customer whom one of ``identities`` names, the strongest first."""
        if brand.consent_no != self._consents_seen.get(brand.brand_id):
            await self._refresh_consents(brand)
        # Who has no id of the brand's own is looked up anew: the brand may have given it elsewhere in the meantime.
        if len(identities) == 1 and len(identities[0].stored_as) == 1:
            cached = self._cached(identities)
            confirmed = cached is not None and cached.confirmed
            return cached if confirmed else await self._find_alone(identities)
        known = await self._cached_or_loaded(brand, identities)
        if not all(each.confirmed for each in known.values()):
            known = await self.look_up(brand, identities)
        return next((known[each.mac] for each in without_shared_device(identities) if each.mac in known), None)

    async def find_active(self, brand: Brand, identities: Sequence[Identity]) -> tuple[Customer | None, bool]:
        """The same, and whether she may redeem under these names. That she may not is never from an old memory."""
        known = await self.find(brand, identities)
        if known is None or known.confirmed:
            return known, known is not None
        return await queries.find_proved(self._pool, without_shared_device(identities))

    async def find_number(self, brand: Brand, number: int) -> Customer | None:
        """Who the customer of one of the brand's numbers is now; not from memory."""
        return (await self.find_numbers(brand, [number])).get(number)

    async def find_numbers(self, brand: Brand, numbers: Collection[int]) -> Mapping[int, Customer]:
        """The same of many, in one statement; those that are no numbers of the brand's are left out."""
        return await queries.find_numbers(self._pool, brand.brand_id, numbers)

    async def find_each(self, brand: Brand, people: Sequence[Sequence[Identity]]) -> list[Customer | None]:
        """The same for each of ``people``, in one statement."""
        known = await self.look_up(brand, [identity for person in people for identity in person])
        return [
            next((known[each.mac] for each in without_shared_device(person) if each.mac in known), None) for person in people
        ]

    async def resolve(self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool) -> list[Customer]:
        """Each of ``people``, in order.

        An identity that nobody has yet is attached to the customer it came together with, if the caller ``may_attach``. An
        id of the brand's own never joins a customer that has one: two ids with one address between them are two customers. Nor
        does any name join the owner of a device who has names already: two who use one device are two customers.
        What any of her names has refused, she has: a telephone number on a do-not-call list may be somebody else's name here.
        """
        if len(people) == 1:
            return [await self.resolve_one(brand, people[0], may_attach=may_attach)]
        await self._refresh_consents(brand)
        return await self._resolve(brand, people, may_attach=may_attach)

    async def resolve_one(self, brand: Brand, person: Sequence[Identity], *, may_attach: bool) -> Customer:
        """The same for one person, who mostly is known by one name."""
        if brand.consent_no != self._consents_seen.get(brand.brand_id):
            await self._refresh_consents(brand)
        known = self._cached(person) or await self._find_alone(person)
        return known or (await self._resolve(brand, [person], may_attach=may_attach))[0]

    async def _resolve(self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool) -> list[Customer]:
        for _ in range(ATTEMPTS):
            resolved = await self._resolve_once(brand, people, may_attach=may_attach)
            if resolved is not None:
                return resolved
        raise RuntimeError("identities were attached elsewhere at every attempt")

    async def foresee(self, brand: Brand, people: Sequence[Sequence[Identity]]) -> list[Customer]:
        """Whom ``resolve`` would say that each of ``people`` is if she alone were reported now; not from memory.

        Who would be new has the number 0, which nobody has.
        """
        await self._refresh_consents(brand)
        assigned: dict[bytes, Customer | _New] = {
            **await self.look_up(brand, [identity for person in people for identity in person])
        }
        device_only = await self._device_only(brand, people, assigned)
        owners = [
            _owner(person, assigned, set()) or _if_device_only(_owner_by_device(person, assigned), device_only)
            for person in people
        ]
        return [_with_opt_outs(owner or _NEW_CUSTOMER, person, assigned) for owner, person in zip(owners, people, strict=True)]

    async def merge(self, brand: Brand, changes: Sequence[Attach | Merge]) -> list[MergeResult | Problem]:
        """Do each of ``changes``, in order, as far as the look-ups go; what came of it is still to be settled."""
        wanted = _names(changes)
        found = await queries.find(self._pool, wanted)
        decision = decide(found.known, changes, await queries.device_only(self._pool, _owners_of_devices(changes, found.known)))
        if decision.changes_nothing and not found.outdated:
            return decision.answers
        for _ in range(ATTEMPTS):
            with contextlib.suppress(ConcurrentChange, asyncpg.DeadlockDetectedError):
                async with self._pool.acquire() as connection, connection.transaction():
                    joined = await self.merge_within(connection, brand, changes)
                self.forget_merged(joined)
                return joined
        raise RuntimeError("customers were changed elsewhere at every attempt")

    async def merge_within(
        self, connection: queries.Connection, brand: Brand, changes: Sequence[Attach | Merge]
    ) -> list[MergeResult | Problem]:
        """The same in the caller's transaction, which is void if this raises ``ConcurrentChange``."""
        await queries.lock(connection, brand)
        found = await queries.find(connection, _names(changes))
        await queries.rehash(connection, brand, found.outdated)
        decision = decide(found.known, changes, await queries.device_only(connection, _owners_of_devices(changes, found.known)))
        await write(connection, brand, decision)
        # Forgotten a moment early, they may be remembered once more as they were: that is an old memory like any other.
        self.forget(number for person in decision.people for number in person.numbers())
        return decision.answers

    def forget_merged(self, joined: Iterable[MergeResult | Problem]) -> None:
        """Forget who was joined: once it is committed, what was read before must not be remembered."""
        self.forget(number for each in joined if isinstance(each, MergeResult) for number in each.person.now.numbers())

    async def split_within(self, connection: queries.Connection, brand: Brand, change: Split) -> SplitResult | Problem:
        """Take a number out of the customer it is part of, as far as the look-ups go, in the caller's transaction."""
        await queries.lock(connection, brand)
        found = await queries.find(connection, [change.whole, change.name])
        await queries.rehash(connection, brand, found.outdated)
        parted = await split(connection, brand, found.known, change)
        self.forget(number for known in found.known.values() for number in (known.customer, *known.former))
        return parted

    async def by_number(self, brand: Brand, customer: int) -> Customer:
        """Who the customer of this number is now; never from memory.

        Nothing else would say to a list or a page that she was merged or split off since.
        """
        await self._refresh_consents(brand)
        return await self._read(customer)

    async def settle(self, ledger: Ledger, brand: Brand, customer: int) -> Customer:
        """Have the book do what was decided here on the merges and splits of a customer, and say who her number is now."""
        return (await self.settle_and_count(ledger, brand, customer))[0]

    async def settle_and_count(self, ledger: Ledger, brand: Brand, customer: int) -> tuple[Customer, int]:
        """The same, and how many points the book has moved to her for it."""
        points = 0
        for _ in range(ATTEMPTS):
            self.forget([customer])
            known = await self._read(customer)
            if not known.generation:
                return known, points
            standings = await queries.standings(self._pool, known.customer, {*known.former, *known.past})
            aligned = await ledger.align(brand.book, standings)
            points += aligned.points
            # What we have read may be old by now, and the book know better.
            if aligned.outcome is MergeOutcome.MERGED and standings[0].generation == known.generation:
                self._settled[known.customer] = known.generation
                return known, points
        raise RuntimeError("a customer was merged at every attempt")

    def is_settled(self, known: Customer) -> bool:
        """Whether the book is known to have done all that makes ``known``."""
        return not known.generation or self._settled.get(known.customer) == known.generation

    def forget(self, customers: Iterable[int]) -> None:
        """Read these, and who was one with them, anew the next time."""
        self._cache_epoch += 1
        for customer in customers:
            known = self._by_number.pop(customer, None)
            if known is not None:
                for number in (known.customer, *known.former):
                    self._by_number.pop(number, None)

    async def _refresh_consents(self, brand: Brand) -> None:
        """Forget whose consents were changed since this was done last, as far as ``brand`` knows of changes."""
        seen = self._consents_seen.setdefault(brand.brand_id, brand.consent_no)
        if brand.consent_no <= seen:
            return
        async with self._refreshing:
            seen = self._consents_seen[brand.brand_id]
            if brand.consent_no > seen:
                customers = await changed_since(self._pool, brand, seen, limit=CONSENT_CHANGES_MAX)
                self.forget(list(self._by_number) if customers is None else customers)
                self._consents_seen[brand.brand_id] = brand.consent_no

    def _cached(self, person: Sequence[Identity]) -> Customer | None:
        """Who a person is, if all of her names are remembered: then there is nothing to attach."""
        strongest: Customer | None = None
        for each in person:
            number = self._number_of_mac.get(each.mac)
            known = None if number is None else self._by_number.get(number)
            if known is None:
                return None
            strongest = known if strongest is None else _add_opt_outs(strongest, known)
        return strongest

    async def _find_alone(self, person: Sequence[Identity]) -> Customer | None:
        """Whom the only name of a person names, if it is stored in the one way there is: then there is nothing to decide."""
        if len(person) != 1 or len(person[0].stored_as) != 1:
            return None
        cache_epoch = self._cache_epoch
        known = await self._loader.get(person[0].mac)
        if known is not None:
            self._cache_names({person[0].mac: known}, cache_epoch)
        return known

    async def _read(self, customer: int) -> Customer:
        cache_epoch = self._cache_epoch
        known = await queries.find_by_number(self._pool, customer)
        if known is None:
            return Customer(customer, confirmed=False, former=(), named=customer)
        self._cache_customers([known], cache_epoch)
        return known

    async def _resolve_once(
        self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool
    ) -> list[Customer] | None:
        wanted = [identity for person in people for identity in person]
        cached = await self._cached_or_loaded(brand, wanted)
        if len(wanted) == len(people) and len(cached) == len({identity.mac for identity in wanted}):
            # Each has one name, and all are known: then there is nothing to decide.
            return [cached[identity.mac] for identity in wanted]
        assigned: dict[bytes, Customer | _New] = {**cached}
        found: list[Customer | _New] = []
        new: list[_New] = []
        attached: list[tuple[Identity, Customer]] = []
        to_confirm: set[int] = set()
        by_device: set[int] = set()
        device_only = await self._device_only(brand, people, assigned)
        for person in people:
            owner = _owner(person, assigned, to_confirm)
            if owner is None:
                owner = _if_device_only(_owner_by_device(person, assigned), device_only)
                if isinstance(owner, Customer) and may_attach:
                    # Whoever comes next on this device is somebody else.
                    device_only.discard(owner.customer)
                    by_device.add(owner.customer)
            if owner is None:
                owner = _New()
                new.append(owner)
            found.append(owner)
            for identity in person:
                if identity.mac in assigned or (isinstance(owner, Customer) and not may_attach):
                    continue
                assigned[identity.mac] = owner
                if isinstance(owner, _New):
                    owner.identities.append(identity)
                else:
                    attached.append((identity, owner))
                    if identity.kind is IdentityKind.ID:
                        to_confirm.add(owner.customer)
        if not new and not attached:
            return [_with_opt_outs(owner, person, assigned) for owner, person in zip(found, people, strict=True)]
        if not await self._write(brand, new, attached, sorted(to_confirm), by_device):
            self.forget(number for _, known in attached for number in (known.customer, known.named))
            return None
        # Somebody may have been faster: what is stored now is what counts.
        settled = await self.look_up(brand, wanted)
        return [
            _with_opt_outs(next(settled[each.mac] for each in person if each.mac in settled), person, settled)
            for person in people
        ]

    async def _device_only(
        self, brand: Brand, people: Sequence[Sequence[Identity]], assigned: dict[bytes, Customer | _New]
    ) -> set[int]:
        """Who of those that are reached by a device alone has no other name. Nobody is remembered as such."""
        devices = [person[-1] for person in people if _owner_by_device(person, assigned) is not None]
        if not devices:
            return set()
        owners = await self.look_up(brand, devices)
        assigned.update(owners)
        return await queries.device_only(self._pool, {owner.customer for owner in owners.values()})

    async def _write(
        self,
        brand: Brand,
        new: list[_New],
        attached: list[tuple[Identity, Customer]],
        to_confirm: list[int],
        by_device: set[int],
    ) -> bool:
        """Create and attach in one transaction; ``False`` if somebody did something with one of them in between."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                if not await self._owners_unchanged(connection, brand, attached):
                    return False
                if not await self._still_unattached(connection, brand, new, attached):
                    return False
                if by_device:
                    # Two who sign on to one device at once take turns: the second finds it named.
                    await queries.lock(connection, brand)
                    if await queries.device_only(connection, by_device) != by_device:
                        return False
                if not await queries.confirm(connection, to_confirm):
                    return False
                numbers = await queries.create(connection, brand, [each.confirmed for each in new])
                pairs = [(identity, known.customer) for identity, known in attached]
                pairs += [(identity, number) for each, number in zip(new, numbers, strict=True) for identity in each.identities]
                await queries.attach(connection, brand, pairs)
        except asyncpg.DeadlockDetectedError:
            return False
        return True

    async def _owners_unchanged(
        self, connection: queries.Connection, brand: Brand, attached: list[tuple[Identity, Customer]]
    ) -> bool:
        """Whether those who were ever merged are part of the same still: a name given to another could not be taken back."""
        merged = {known.named: known.customer for _, known in attached if known.generation}
        if not merged:
            return True
        await queries.lock(connection, brand)
        now = [await queries.find_by_number(connection, named) for named in merged]
        return [None if each is None else each.customer for each in now] == list(merged.values())

    async def _still_unattached(
        self, connection: queries.Connection, brand: Brand, new: list[_New], attached: list[tuple[Identity, Customer]]
    ) -> bool:
        """Whether nobody has these identities yet, where the table's key alone does not see to it.

        That is while there are two keys: a process with the other one in use stores them as other rows.
        """
        wanted = [identity for identity, _ in attached] + [identity for each in new for identity in each.identities]
        if not wanted or len({stored.key_no for stored in wanted[0].stored_as}) == 1:
            return True
        await queries.lock(connection, brand)
        return not (await queries.find(connection, wanted)).known

    async def _cached_or_loaded(self, brand: Brand, wanted: Sequence[Identity]) -> Mapping[bytes, Customer]:
        cached: dict[bytes, Customer] = {}
        unknown: list[Identity] = []
        for identity in wanted:
            number = self._number_of_mac.get(identity.mac)
            known = None if number is None else self._by_number.get(number)
            if known is None:
                unknown.append(identity)
            else:
                cached[identity.mac] = known
        return {**cached, **await self.look_up(brand, unknown)} if unknown else cached

    async def look_up(self, brand: Brand, wanted: Sequence[Identity]) -> Mapping[bytes, Customer]:
        """Whom each of ``wanted`` names, by what it is to be stored as; what is found under an old key is stored anew."""
        self._consents_seen.setdefault(brand.brand_id, brand.consent_no)
        cache_epoch = self._cache_epoch
        macs = queries.macs_of(wanted)
        few = len(macs) <= COALESCED_MAX
        found = queries.found_of(wanted, await (self._loader.get_many(macs) if few else queries.find_stored(self._pool, macs)))
        if found.outdated:
            async with self._pool.acquire() as connection, connection.transaction():
                await queries.lock(connection, brand)
                await queries.rehash(connection, brand, found.outdated)
        # Whose name leads to others too is looked up each time: what those have refused may change, and is theirs.
        self._cache_names({mac: known for mac, known in found.known.items() if mac not in found.duplicates}, cache_epoch)
        return found.known

    async def duplicates(self, people: Sequence[Sequence[Identity]]) -> list[set[int]]:
        """Which other customers the names of each of ``people`` lead to in former spellings, as they are now."""
        wanted = [identity for person in people for identity in person if len(identity.stored_as) > 1]
        if not wanted:
            return [set() for _ in people]
        found = (await queries.find(self._pool, wanted)).duplicates
        return [{other.customer for identity in person for other in found.get(identity.mac, ())} for person in people]

    def _cache_names(self, found: Mapping[bytes, Customer], cache_epoch: int) -> None:
        """Remember whom names were found to name, and who she is."""
        for mac, known in found.items():
            self._number_of_mac[mac] = known.named
        while len(self._number_of_mac) > CACHE_SIZE_MAX:
            self._number_of_mac.popitem(last=False)
        self._cache_customers(found.values(), cache_epoch)

    def _cache_customers(self, people: Iterable[Customer], cache_epoch: int) -> None:
        """Remember what was read, unless somebody was forgotten since ``cache_epoch`` were counted: it may be of her."""
        if cache_epoch != self._cache_epoch:
            return
        for known in people:
            self._by_number[known.named] = known
        while len(self._by_number) > CACHE_SIZE_MAX:
            self._by_number.popitem(last=False)


def _names(changes: Sequence[Attach | Merge]) -> list[Identity | OurNumber]:
    return [
        name for change in changes for name in (change.names if isinstance(change, Attach) else (change.survivor, change.name))
    ]


def _owner(
    person: Sequence[Identity], assigned: Mapping[bytes, Customer | _New], confirmed: set[int]
) -> Customer | _New | None:
    """Whom the strongest known identity names. An id that nobody has yet joins only a customer without one."""
    owner = next((assigned[identity.mac] for identity in without_shared_device(person) if identity.mac in assigned), None)
    if owner is None:
        return None
    brings_an_id = person[0].kind is IdentityKind.ID and person[0].mac not in assigned
    has_an_id = owner.confirmed or (isinstance(owner, Customer) and owner.customer in confirmed)
    return None if brings_an_id and has_an_id else owner


def _owner_by_device(person: Sequence[Identity], assigned: Mapping[bytes, Customer | _New]) -> Customer | _New | None:
    """Whom a device names, where nobody has any of the names that come with it."""
    device = person[-1]
    if device.kind is not IdentityKind.DEVICE or len(person) == 1 or any(name.mac in assigned for name in person[:-1]):
        return None
    return assigned.get(device.mac)


def _if_device_only(owner: Customer | _New | None, device_only: set[int]) -> Customer | _New | None:
    """The owner of a device, unless she has other names."""
    if isinstance(owner, Customer):
        return owner if owner.customer in device_only else None
    return owner if owner is None or all(name.kind is IdentityKind.DEVICE for name in owner.identities) else None


def _owners_of_devices(changes: Sequence[Attach | Merge], known: Mapping[bytes, Customer]) -> set[int]:
    """Who has the devices that are to be attached, and no id."""
    names = [
        name for change in changes if isinstance(change, Attach) for name in change.names if name.kind is IdentityKind.DEVICE
    ]
    owners = [known[name.mac] for name in names if name.mac in known]
    return {owner.customer for owner in owners if not owner.confirmed}


def _with_opt_outs(owner: Customer | _New, person: Sequence[Identity], known: Mapping[bytes, Customer | _New]) -> Customer:
    """Who a person is, with what whoever else she is called by has refused."""
    assert isinstance(owner, Customer)
    for identity in person:
        other = known.get(identity.mac)
        if isinstance(other, Customer):
            owner = _add_opt_outs(owner, other)
    return owner


def _add_opt_outs(known: Customer, other: Customer) -> Customer:
    """The one, who has refused what the other has refused too."""
    if not other.refused or other.customer == known.customer:
        return known
    return msgspec.structs.replace(known, refused=(*known.refused, *other.refused))
