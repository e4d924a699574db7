"""Which customer an identity belongs to. Look-ups that wait together are one statement; results are cached.

    find            look up; creates nobody
    find_active     look up, with whether the customer may redeem under the names given
    resolve         look up, and create a customer for a new name; a dry run creates nobody
    give_back       let names of erased customers be somebody's again
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

What is written of customers commits before anything is posted, and posting is idempotent. A crash in between leaves a customer
without points, or a merge that the book has yet to follow; the next report, or look at the balance, finishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg

from ledger import Ledger, MergeOutcome
from service.brands.brand import Brand
from service.concurrency.batch_loader import BatchLoader
from service.customers import new_names, queries
from service.customers.cache import CustomerCache
from service.customers.identities import Identity, without_shared_device
from service.customers.new_names import Owner, owner_by_device, with_opt_outs
from service.customers.opt_outs import changed_since
from service.customers.queries import Customer
from service.customers.tombstones import NOBODY, Tombstones
from service.settings import IdentityKey
from service.storage.database import KeptConnection

COALESCED_MAX = 8
"""The largest look-up, in names, that is batched with others; larger ones are a statement of their own."""
CONSENT_CHANGES_MAX = 20_000
"""If more customers changed their consents since the last look, the whole cache is dropped."""
ATTEMPTS = 5
"""How often a change is tried when others change the same customers."""


class CustomerDirectory:
    """Customers by identity. The last of ``keys`` is the one in use."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        keys: Sequence[IdentityKey],
        *,
        kept: KeptConnection | None = None,
        tombstone_keys: Sequence[IdentityKey] = (),
    ) -> None:
        """``kept`` is the connection for batched look-ups; without it they use the pool. ``tombstone_keys`` are former."""
        self._pool = pool
        self.tombstones = Tombstones(pool, tombstone_keys)
        self.keys = tuple(keys)
        self._cache = CustomerCache()
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
        """The same for each of ``people``, together."""
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

        Whoever is known by no other name than those of an erased customer is ``NOBODY``, and stays so.
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
        owners: dict[bytes, Owner] = {**await self.look_up(brand, [identity for person in people for identity in person])}
        people, erased = await self._without_tombstones(brand, people, owners)
        others = [person for n, person in enumerate(people) if n not in erased]
        alone = iter(new_names.decide_alone(others, owners, await self._device_only(brand, others, owners)))
        return [NOBODY if n in erased else next(alone) for n in range(len(people))]

    async def give_back(
        self, connection: queries.Connection, brand: Brand, people: Sequence[Sequence[Identity]]
    ) -> list[Customer]:
        """Let erased names be those of customers again, in the caller's transaction, who holds the brand's lock. Returns whose
        they are, for each of ``people``.

        The transaction is void if this raises ``ConcurrentChange``. After the commit, ``forget`` them.
        """
        wanted = [identity for person in people for identity in person]
        await self.tombstones.lift(connection, brand.brand_id, wanted)
        known = (await queries.find(connection, wanted)).known
        device_only = await queries.device_only(connection, {owner.customer for owner in known.values()})
        decision = new_names.decide(people, {**known}, device_only, may_attach=True)
        return await new_names.write_within(connection, brand, decision)

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
            if not known.generation or known.erased:
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
        self._cache.forget(customers)

    async def _refresh_consents(self, brand: Brand) -> None:
        """Forget customers whose consents changed since the last refresh, up to the count that ``brand`` has."""
        seen = self._consents_seen.setdefault(brand.brand_id, brand.consent_no)
        if brand.consent_no <= seen:
            return
        async with self._refreshing:
            seen = self._consents_seen[brand.brand_id]
            if brand.consent_no > seen:
                customers = await changed_since(self._pool, brand, seen, limit=CONSENT_CHANGES_MAX)
                if customers is None:
                    self._cache_epoch += 1
                    self._cache.forget_all()
                else:
                    self.forget(customers)
                self._consents_seen[brand.brand_id] = brand.consent_no

    def _cached(self, person: Sequence[Identity]) -> Customer | None:
        """The customer, if all of a person's names are cached: then there is nothing to attach."""
        strongest: Customer | None = None
        for each in person:
            known = self._cache.by_name(each.mac)
            if known is None:
                return None
            strongest = known if strongest is None else strongest.with_opt_outs_of(known)
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
        owners: dict[bytes, Owner] = {**cached}
        people, erased = await self._without_tombstones(brand, people, owners)
        if erased:
            others = [person for n, person in enumerate(people) if n not in erased]
            found = await self._resolve_once(brand, others, may_attach=may_attach) if others else []
            known = iter(found or ())
            return found if found is None else [NOBODY if n in erased else next(known) for n in range(len(people))]
        wanted = [identity for person in people for identity in person]
        device_only = await self._device_only(brand, people, owners)
        decision = new_names.decide(people, owners, device_only, may_attach=may_attach)
        if decision.changes_nothing:
            return [with_opt_outs(owner, person, owners) for owner, person in zip(decision.people, people, strict=True)]
        if not await new_names.write(self._pool, brand, decision):
            self.forget(number for _, known in decision.attached for number in (known.customer, known.named))
            return None
        # Another process may have been faster: what is stored now counts.
        settled = await self.look_up(brand, wanted)
        return [
            with_opt_outs(next(settled[each.mac] for each in person if each.mac in settled), person, settled)
            for person in people
        ]

    async def _without_tombstones(
        self, brand: Brand, people: Sequence[Sequence[Identity]], owners: Mapping[bytes, Owner]
    ) -> tuple[Sequence[Sequence[Identity]], set[int]]:
        """``people`` without the names of erased customers, and which of them nobody knows by another name."""
        unknown = [name for person in people for name in person if name.mac not in owners]
        found = await self.tombstones.among(brand.brand_id, unknown)
        if not found:
            return people, set()
        left = [[name for name in person if name.mac not in found] for person in people]
        erased = {
            n
            for n, (person, names) in enumerate(zip(people, left, strict=True))
            if len(names) < len(person) and not any(name.mac in owners for name in names)
        }
        return left, erased

    async def _device_only(self, brand: Brand, people: Sequence[Sequence[Identity]], owners: dict[bytes, Owner]) -> set[int]:
        """The owners of devices, of people found by a device alone, who have no other name. Bypasses the cache."""
        devices = [person[-1] for person in people if owner_by_device(person, owners) is not None]
        if not devices:
            return set()
        known = await self.look_up(brand, devices)
        owners.update(known)
        return await queries.device_only(self._pool, {owner.customer for owner in known.values()})

    async def _cached_or_loaded(self, brand: Brand, wanted: Sequence[Identity]) -> Mapping[bytes, Customer]:
        cached: dict[bytes, Customer] = {}
        unknown: list[Identity] = []
        for identity in wanted:
            known = self._cache.by_name(identity.mac)
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
            self._cache.keep_name(mac, known.named)
        self._cache_customers(found.values(), cache_epoch)

    def _cache_customers(self, people: Iterable[Customer], cache_epoch: int) -> None:
        """Cache customers, unless any was forgotten since ``cache_epoch``: it may be one of these."""
        if cache_epoch != self._cache_epoch:
            return
        for known in people:
            self._cache.keep(known)
