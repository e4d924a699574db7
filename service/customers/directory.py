"""Which customer an identity belongs to. Look-ups that wait together are one statement; results are cached.

    find            look up; creates nobody
    find_active     look up, with whether the customer may redeem under the names given
    resolve         look up, and create a customer for a new name; a dry run creates nobody
    by_number       the customer that a number given out earlier belongs to now
    settle          bring the book in line with merges and splits, and forget what is cached of them
    forget          drop customers from the cache

An identity keeps the number it was attached to. Which customer the number belongs to changes when customers are merged
(``customer.merged_into``) or split. The cache may be behind, which is harmless: every merge and split gives its customers a new
generation, and the ledger pays nothing on an order whose generation is not its own. It answers that the customer is stale, and
``settle`` is the remedy.

Opt-outs are cached too, and the ledger would not notice stale ones. So each brand counts the changes of consents.
The brand that comes with an API key has the count of at most a second ago; where it is higher than the last one seen, the
customers that changed are forgotten first.

Transactions here commit before anything is posted, and posting is idempotent. A crash in between leaves a customer without
points, or a merge that the book has yet to follow; the next report, or look at the balance, finishes it.
"""

from __future__ import annotations

import asyncio
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
from service.customers.identities import Identity, IdentityKind, without_shared_device
from service.customers.opt_outs import changed_since
from service.customers.queries import Customer
from service.settings import IdentityKey
from service.storage.database import KeptConnection

CACHE_SIZE_MAX = 20_000
"""How many names, and how many customers, are cached: some 400 bytes for one of each."""
COALESCED_MAX = 8
"""The largest look-up, in names, that is batched with others; larger ones are a statement of their own."""
CONSENT_CHANGES_MAX = 20_000
"""If more customers changed their consents since the last look, the whole cache is dropped."""
ATTEMPTS = 5
"""How often a change is tried when others change the same customers."""


_NEW_CUSTOMER = Customer(0, confirmed=False, former=(), named=0)


class _New:
    """A customer of this batch without a number yet."""

    def __init__(self) -> None:
        self.identities: list[Identity] = []

    @property
    def confirmed(self) -> bool:
        return any(identity.kind is IdentityKind.ID for identity in self.identities)


class CustomerDirectory:
    """Customers by identity. The last of ``keys`` is the one in use."""

    def __init__(self, pool: asyncpg.Pool[Any], keys: Sequence[IdentityKey], *, kept: KeptConnection | None = None) -> None:
        """``kept`` is the connection for batched look-ups; without it they use the pool."""
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
        """The customer with one of ``identities``, the strongest first."""
        if brand.consent_no != self._consents_seen.get(brand.brand_id):
            await self._refresh_consents(brand)
        # A customer without an id of the brand's own is not taken from the cache: another process may have attached one.
        if len(identities) == 1 and len(identities[0].stored_as) == 1:
            cached = self._cached(identities)
            confirmed = cached is not None and cached.confirmed
            return cached if confirmed else await self._find_alone(identities)
        known = await self._cached_or_loaded(brand, identities)
        if not all(each.confirmed for each in known.values()):
            known = await self.look_up(brand, identities)
        return next((known[each.mac] for each in without_shared_device(identities) if each.mac in known), None)

    async def find_active(self, brand: Brand, identities: Sequence[Identity]) -> tuple[Customer | None, bool]:
        """The same, and whether they may redeem under these names; a refusal is never from the cache."""
        known = await self.find(brand, identities)
        if known is None or known.confirmed:
            return known, known is not None
        return await queries.find_proved(self._pool, without_shared_device(identities))

    async def find_number(self, brand: Brand, number: int) -> Customer | None:
        """The customer that one of the brand's numbers belongs to now; bypasses the cache."""
        return (await self.find_numbers(brand, [number])).get(number)

    async def find_numbers(self, brand: Brand, numbers: Collection[int]) -> Mapping[int, Customer]:
        """The same for many, in one statement; numbers that are not the brand's are left out."""
        return await queries.find_numbers(self._pool, brand.brand_id, numbers)

    async def find_each(self, brand: Brand, people: Sequence[Sequence[Identity]]) -> list[Customer | None]:
        """The same for each of ``people``, in one statement."""
        known = await self.look_up(brand, [identity for person in people for identity in person])
        return [
            next((known[each.mac] for each in without_shared_device(person) if each.mac in known), None) for person in people
        ]

    async def resolve(
        self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool = True, dry_run: bool = False
    ) -> list[Customer]:
        """The customer of each of ``people``, in order.

        An identity that nobody has is attached to the customer it comes with, if the caller ``may_attach``. An id of the
        brand's own never joins a customer that has one: two ids that share an address are two customers. Nor does a name join
        the owner of a device who already has names: two people on one device are two customers. A refusal under any of the
        names counts: a telephone number on a do-not-call list may be another customer's name.

        A ``dry_run`` writes nothing and bypasses the cache: each is who they would be if they alone were reported now.
        """
        if dry_run:
            return await self._resolve_dry(brand, people)
        if len(people) == 1:
            return [await self.resolve_one(brand, people[0], may_attach=may_attach)]
        await self._refresh_consents(brand)
        return await self._resolve(brand, people, may_attach=may_attach)

    async def resolve_one(self, brand: Brand, person: Sequence[Identity], *, may_attach: bool) -> Customer:
        """Resolve one person, who mostly has one name."""
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

    async def _resolve_dry(self, brand: Brand, people: Sequence[Sequence[Identity]]) -> list[Customer]:
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

    async def by_number(self, brand: Brand, customer: int) -> Customer:
        """The customer that this number belongs to now.

        Bypasses the cache: nothing else tells a list or a page that the customer has been merged or split.
        """
        await self._refresh_consents(brand)
        return await self._read(customer)

    async def settle(self, ledger: Ledger, brand: Brand, customer: int) -> Customer:
        """Have the book follow a customer's merges and splits; return the customer that the number belongs to now."""
        return (await self.settle_and_count(ledger, brand, customer))[0]

    async def settle_and_count(self, ledger: Ledger, brand: Brand, customer: int) -> tuple[Customer, int]:
        """The same, with how many points the book moved to the customer."""
        points = 0
        for _ in range(ATTEMPTS):
            self.forget([customer])
            known = await self._read(customer)
            if not known.generation:
                return known, points
            standings = await queries.standings(self._pool, known.customer, {*known.former, *known.past})
            aligned = await ledger.align(brand.book, standings)
            points += aligned.points
            # What we have read may be stale by now, and the book ahead of it.
            if aligned.outcome is MergeOutcome.MERGED and standings[0].generation == known.generation:
                self._settled[known.customer] = known.generation
                return known, points
        raise RuntimeError("a customer was merged at every attempt")

    def is_settled(self, known: Customer) -> bool:
        """Whether the book is known to have followed all merges and splits of ``known``."""
        return not known.generation or self._settled.get(known.customer) == known.generation

    def forget(self, customers: Iterable[int]) -> None:
        """Drop these customers, with all their numbers, from the cache."""
        self._cache_epoch += 1
        for customer in customers:
            known = self._by_number.pop(customer, None)
            if known is not None:
                for number in (known.customer, *known.former):
                    self._by_number.pop(number, None)

    async def _refresh_consents(self, brand: Brand) -> None:
        """Forget customers whose consents changed since the last refresh, up to the count that ``brand`` has."""
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
        """The customer, if all of a person's names are cached: then there is nothing to attach."""
        strongest: Customer | None = None
        for each in person:
            number = self._number_of_mac.get(each.mac)
            known = None if number is None else self._by_number.get(number)
            if known is None:
                return None
            strongest = known if strongest is None else _add_opt_outs(strongest, known)
        return strongest

    async def _find_alone(self, person: Sequence[Identity]) -> Customer | None:
        """Look up a person with a single name that has a single spelling: then there is nothing to decide."""
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
            # Each has one name, and all are stored: there is nothing to decide.
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
                    # The next person on this device is another customer.
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
        # Another process may have been faster: what is stored now counts.
        settled = await self.look_up(brand, wanted)
        return [
            _with_opt_outs(next(settled[each.mac] for each in person if each.mac in settled), person, settled)
            for person in people
        ]

    async def _device_only(
        self, brand: Brand, people: Sequence[Sequence[Identity]], assigned: dict[bytes, Customer | _New]
    ) -> set[int]:
        """The owners of devices, of people found by a device alone, who have no other name. Bypasses the cache."""
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
        """Create and attach in one transaction; ``False`` if one of the customers was changed concurrently."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                if not await self._owners_unchanged(connection, brand, attached):
                    return False
                if not await self._still_unattached(connection, brand, new, attached):
                    return False
                if by_device:
                    # Two people who use one device at once take turns: the second finds that its owner has a name.
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
        """Whether merged customers still have the same survivor: a name attached to another could not be taken back."""
        merged = {known.named: known.customer for _, known in attached if known.generation}
        if not merged:
            return True
        await queries.lock(connection, brand)
        now = [await queries.find_by_number(connection, named) for named in merged]
        return [None if each is None else each.customer for each in now] == list(merged.values())

    async def _still_unattached(
        self, connection: queries.Connection, brand: Brand, new: list[_New], attached: list[tuple[Identity, Customer]]
    ) -> bool:
        """Whether nobody has these identities yet, where the table's primary key alone does not ensure it.

        That is while there are two keys: a process that uses the other one stores them as other rows.
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
        """The customer of each of ``wanted``, by mac. Identities stored under an old key or form are rehashed."""
        self._consents_seen.setdefault(brand.brand_id, brand.consent_no)
        cache_epoch = self._cache_epoch
        macs = queries.macs_of(wanted)
        few = len(macs) <= COALESCED_MAX
        found = queries.found_of(wanted, await (self._loader.get_many(macs) if few else queries.find_stored(self._pool, macs)))
        if found.outdated:
            async with self._pool.acquire() as connection, connection.transaction():
                await queries.lock(connection, brand)
                await queries.rehash(connection, brand, found.outdated)
        # A name with duplicates is not cached: the opt-outs of the other customers count too, and may change.
        self._cache_names({mac: known for mac, known in found.known.items() if mac not in found.duplicates}, cache_epoch)
        return found.known

    async def duplicates(self, people: Sequence[Sequence[Identity]]) -> list[set[int]]:
        """The other customers that former spellings of each person's names lead to now."""
        wanted = [identity for person in people for identity in person if len(identity.stored_as) > 1]
        if not wanted:
            return [set() for _ in people]
        found = (await queries.find(self._pool, wanted)).duplicates
        return [{other.customer for identity in person for other in found.get(identity.mac, ())} for person in people]

    def _cache_names(self, found: Mapping[bytes, Customer], cache_epoch: int) -> None:
        """Cache names and their customers."""
        for mac, known in found.items():
            self._number_of_mac[mac] = known.named
        while len(self._number_of_mac) > CACHE_SIZE_MAX:
            self._number_of_mac.popitem(last=False)
        self._cache_customers(found.values(), cache_epoch)

    def _cache_customers(self, people: Iterable[Customer], cache_epoch: int) -> None:
        """Cache customers, unless any was forgotten since ``cache_epoch``: it may be one of these."""
        if cache_epoch != self._cache_epoch:
            return
        for known in people:
            self._by_number[known.named] = known
        while len(self._by_number) > CACHE_SIZE_MAX:
            self._by_number.popitem(last=False)


def _owner(
    person: Sequence[Identity], assigned: Mapping[bytes, Customer | _New], confirmed: set[int]
) -> Customer | _New | None:
    """The customer of the strongest stored identity. An id that nobody has yet joins only a customer without one."""
    owner = next((assigned[identity.mac] for identity in without_shared_device(person) if identity.mac in assigned), None)
    if owner is None:
        return None
    brings_an_id = person[0].kind is IdentityKind.ID and person[0].mac not in assigned
    has_an_id = owner.confirmed or (isinstance(owner, Customer) and owner.customer in confirmed)
    return None if brings_an_id and has_an_id else owner


def _owner_by_device(person: Sequence[Identity], assigned: Mapping[bytes, Customer | _New]) -> Customer | _New | None:
    """The owner of a device, where nobody has any of the names that come with it."""
    device = person[-1]
    if device.kind is not IdentityKind.DEVICE or len(person) == 1 or any(name.mac in assigned for name in person[:-1]):
        return None
    return assigned.get(device.mac)


def _if_device_only(owner: Customer | _New | None, device_only: set[int]) -> Customer | _New | None:
    """The owner of a device, if they have no other names."""
    if isinstance(owner, Customer):
        return owner if owner.customer in device_only else None
    return owner if owner is None or all(name.kind is IdentityKind.DEVICE for name in owner.identities) else None


def _with_opt_outs(owner: Customer | _New, person: Sequence[Identity], known: Mapping[bytes, Customer | _New]) -> Customer:
    """The customer, with the opt-outs of any other customer that a name leads to."""
    assert isinstance(owner, Customer)
    for identity in person:
        other = known.get(identity.mac)
        if isinstance(other, Customer):
            owner = _add_opt_outs(owner, other)
    return owner


def _add_opt_outs(known: Customer, other: Customer) -> Customer:
    """``known`` with the opt-outs of ``other`` added."""
    if not other.refused or other.customer == known.customer:
        return known
    return msgspec.structs.replace(known, refused=(*known.refused, *other.refused))
