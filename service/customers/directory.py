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
from service.customers import queries as rows
from service.customers.identities import Identity, IdentityKind, OurNumber, deciding
from service.customers.merge_rules import Attach, Changed, Joined, Merge, Parted, Split, decide, split, write
from service.customers.opt_outs import changed
from service.customers.queries import Known
from service.http.problems import Problem
from service.settings import IdentityKey
from service.storage.database import KeptConnection

REMEMBERED_MAX = 20_000
"""So many names and so many customers, some 400 bytes for one of each: what a process remembers is to fit into its memory."""
TOGETHER_MAX = 8
"""Look-ups of at most so many names are made together with others that wait; more are a statement of their own anyway."""
CHANGED_MAX = 20_000
"""If more customers' consents were changed since the last look, everybody is forgotten instead of them."""
ATTEMPTS = 5
"""How often something is tried again because others changed the same customers."""


_NOBODY = Known(0, confirmed=False, former=(), named=0)


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
        self._numbers: OrderedDict[bytes, int] = OrderedDict()
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._settled: dict[int, int] = {}
        self._heard: dict[int, int] = {}
        self._hearing = asyncio.Lock()
        self._forgettings = 0
        self._stored: BatchLoader[bytes, Known] = BatchLoader(partial(rows.find_stored, kept or pool))

    async def find(self, brand: Brand, identities: Sequence[Identity]) -> Known | None:
        """The customer whom one of ``identities`` names, the strongest first."""
        if brand.consent_no != self._heard.get(brand.brand_id):
            await self._hear(brand)
        # Who has no id of the brand's own is looked up anew: the brand may have given it elsewhere in the meantime.
        if len(identities) == 1 and len(identities[0].stored_as) == 1:
            remembered = self._remembered(identities)
            confirmed = remembered is not None and remembered.confirmed
            return remembered if confirmed else await self._find_alone(identities)
        known = await self._recall(brand, identities)
        if not all(each.confirmed for each in known.values()):
            known = await self.look_up(brand, identities)
        return next((known[each.mac] for each in deciding(identities) if each.mac in known), None)

    async def find_active(self, brand: Brand, identities: Sequence[Identity]) -> tuple[Known | None, bool]:
        """The same, and whether she may redeem under these names. That she may not is never from an old memory."""
        known = await self.find(brand, identities)
        if known is None or known.confirmed:
            return known, known is not None
        return await rows.find_proved(self._pool, deciding(identities))

    async def find_number(self, brand: Brand, number: int) -> Known | None:
        """Who the customer of one of the brand's numbers is now; not from memory."""
        return (await self.find_numbers(brand, [number])).get(number)

    async def find_numbers(self, brand: Brand, numbers: Collection[int]) -> Mapping[int, Known]:
        """The same of many, in one statement; those that are no numbers of the brand's are left out."""
        return await rows.find_numbers(self._pool, brand.brand_id, numbers)

    async def find_each(self, brand: Brand, people: Sequence[Sequence[Identity]]) -> list[Known | None]:
        """The same for each of ``people``, in one statement."""
        known = await self.look_up(brand, [identity for person in people for identity in person])
        return [next((known[each.mac] for each in deciding(person) if each.mac in known), None) for person in people]

    async def resolve(self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool) -> list[Known]:
        """Each of ``people``, in order.

        An identity that nobody has yet is attached to the customer it came together with, if the caller ``may_attach``. An
        id of the brand's own never joins a customer that has one: two ids with one address between them are two customers. Nor
        does any name join the owner of a device who has names already: two who use one device are two customers.
        What any of her names has refused, she has: a telephone number on a do-not-call list may be somebody else's name here.
        """
        if len(people) == 1:
            return [await self.resolve_one(brand, people[0], may_attach=may_attach)]
        await self._hear(brand)
        return await self._resolve(brand, people, may_attach=may_attach)

    async def resolve_one(self, brand: Brand, person: Sequence[Identity], *, may_attach: bool) -> Known:
        """The same for one person, who mostly is known by one name."""
        if brand.consent_no != self._heard.get(brand.brand_id):
            await self._hear(brand)
        known = self._remembered(person) or await self._find_alone(person)
        return known or (await self._resolve(brand, [person], may_attach=may_attach))[0]

    async def _resolve(self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool) -> list[Known]:
        for _ in range(ATTEMPTS):
            resolved = await self._resolve_once(brand, people, may_attach=may_attach)
            if resolved is not None:
                return resolved
        raise RuntimeError("identities were attached elsewhere at every attempt")

    async def foresee(self, brand: Brand, people: Sequence[Sequence[Identity]]) -> list[Known]:
        """Whom ``resolve`` would say that each of ``people`` is if she alone were reported now; not from memory.

        Who would be new has the number 0, which nobody has.
        """
        await self._hear(brand)
        assigned: dict[bytes, Known | _New] = {
            **await self.look_up(brand, [identity for person in people for identity in person])
        }
        nameless = await self._nameless(brand, people, assigned)
        owners = [
            _owner(person, assigned, set()) or _who_only_has_devices(_led_by_device(person, assigned), nameless)
            for person in people
        ]
        return [_with_names(owner or _NOBODY, person, assigned) for owner, person in zip(owners, people, strict=True)]

    async def join(self, brand: Brand, wishes: Sequence[Attach | Merge]) -> list[Joined | Problem]:
        """Do each of ``wishes``, in order, as far as the look-ups go; what came of it is still to be settled."""
        wanted = _names(wishes)
        found = await rows.find(self._pool, wanted)
        decision = decide(found.known, wishes, await rows.nameless(self._pool, _owners_of_devices(wishes, found.known)))
        if decision.changes_nothing and not found.outdated:
            return decision.answers
        for _ in range(ATTEMPTS):
            with contextlib.suppress(Changed, asyncpg.DeadlockDetectedError):
                async with self._pool.acquire() as connection, connection.transaction():
                    joined = await self.join_within(connection, brand, wishes)
                self.forget_joined(joined)
                return joined
        raise RuntimeError("customers were changed elsewhere at every attempt")

    async def join_within(
        self, connection: rows.Connection, brand: Brand, wishes: Sequence[Attach | Merge]
    ) -> list[Joined | Problem]:
        """The same in the caller's transaction, which is void if this raises ``Changed``."""
        await rows.lock(connection, brand)
        found = await rows.find(connection, _names(wishes))
        await rows.store_anew(connection, brand, found.outdated)
        decision = decide(found.known, wishes, await rows.nameless(connection, _owners_of_devices(wishes, found.known)))
        await write(connection, brand, decision)
        # Forgotten a moment early, they may be remembered once more as they were: that is an old memory like any other.
        self.forget(number for person in decision.people for number in person.numbers())
        return decision.answers

    def forget_joined(self, joined: Iterable[Joined | Problem]) -> None:
        """Forget who was joined: once it is committed, what was read before must not be remembered."""
        self.forget(number for each in joined if isinstance(each, Joined) for number in each.person.now.numbers())

    async def split_within(self, connection: rows.Connection, brand: Brand, wish: Split) -> Parted | Problem:
        """Take a number out of the customer it is part of, as far as the look-ups go, in the caller's transaction."""
        await rows.lock(connection, brand)
        found = await rows.find(connection, [wish.whole, wish.name])
        await rows.store_anew(connection, brand, found.outdated)
        parted = await split(connection, brand, found.known, wish)
        self.forget(number for known in found.known.values() for number in (known.customer, *known.former))
        return parted

    async def by_number(self, brand: Brand, customer: int) -> Known:
        """Who the customer of this number is now; never from memory.

        Nothing else would say to a list or a page that she was merged or split off since.
        """
        await self._hear(brand)
        return await self._read(customer)

    async def settle(self, ledger: Ledger, brand: Brand, customer: int) -> Known:
        """Have the book do what was decided here on the merges and splits of a customer, and say who her number is now."""
        return (await self.settle_and_count(ledger, brand, customer))[0]

    async def settle_and_count(self, ledger: Ledger, brand: Brand, customer: int) -> tuple[Known, int]:
        """The same, and how many points the book has moved to her for it."""
        points = 0
        for _ in range(ATTEMPTS):
            self.forget([customer])
            known = await self._read(customer)
            if not known.generation:
                return known, points
            standings = await rows.standings(self._pool, known.customer, {*known.former, *known.past})
            aligned = await ledger.align(brand.book, standings)
            points += aligned.points
            # What we have read may be old by now, and the book know better.
            if aligned.outcome is MergeOutcome.MERGED and standings[0].generation == known.generation:
                self._settled[known.customer] = known.generation
                return known, points
        raise RuntimeError("a customer was merged at every attempt")

    def is_settled(self, known: Known) -> bool:
        """Whether the book is known to have done all that makes ``known``."""
        return not known.generation or self._settled.get(known.customer) == known.generation

    def forget(self, customers: Iterable[int]) -> None:
        """Read these, and who was one with them, anew the next time."""
        self._forgettings += 1
        for customer in customers:
            known = self._known.pop(customer, None)
            if known is not None:
                for number in (known.customer, *known.former):
                    self._known.pop(number, None)

    async def _hear(self, brand: Brand) -> None:
        """Forget whose consents were changed since this was done last, as far as ``brand`` knows of changes."""
        heard = self._heard.setdefault(brand.brand_id, brand.consent_no)
        if brand.consent_no <= heard:
            return
        async with self._hearing:
            heard = self._heard[brand.brand_id]
            if brand.consent_no > heard:
                customers = await changed(self._pool, brand, heard, limit=CHANGED_MAX)
                self.forget(list(self._known) if customers is None else customers)
                self._heard[brand.brand_id] = brand.consent_no

    def _remembered(self, person: Sequence[Identity]) -> Known | None:
        """Who a person is, if all of her names are remembered: then there is nothing to attach."""
        strongest: Known | None = None
        for each in person:
            number = self._numbers.get(each.mac)
            known = None if number is None else self._known.get(number)
            if known is None:
                return None
            strongest = known if strongest is None else _refusing(strongest, known)
        return strongest

    async def _find_alone(self, person: Sequence[Identity]) -> Known | None:
        """Whom the only name of a person names, if it is stored in the one way there is: then there is nothing to decide."""
        if len(person) != 1 or len(person[0].stored_as) != 1:
            return None
        forgettings = self._forgettings
        known = await self._stored.get(person[0].mac)
        if known is not None:
            self._remember({person[0].mac: known}, forgettings)
        return known

    async def _read(self, customer: int) -> Known:
        forgettings = self._forgettings
        known = await rows.find_by_number(self._pool, customer)
        if known is None:
            return Known(customer, confirmed=False, former=(), named=customer)
        self._remember_people([known], forgettings)
        return known

    async def _resolve_once(
        self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool
    ) -> list[Known] | None:
        wanted = [identity for person in people for identity in person]
        recalled = await self._recall(brand, wanted)
        if len(wanted) == len(people) and len(recalled) == len({identity.mac for identity in wanted}):
            # Each has one name, and all are known: then there is nothing to decide.
            return [recalled[identity.mac] for identity in wanted]
        assigned: dict[bytes, Known | _New] = {**recalled}
        found: list[Known | _New] = []
        new: list[_New] = []
        attached: list[tuple[Identity, Known]] = []
        to_confirm: set[int] = set()
        by_device: set[int] = set()
        nameless = await self._nameless(brand, people, assigned)
        for person in people:
            owner = _owner(person, assigned, to_confirm)
            if owner is None:
                owner = _who_only_has_devices(_led_by_device(person, assigned), nameless)
                if isinstance(owner, Known) and may_attach:
                    # Whoever comes next on this device is somebody else.
                    nameless.discard(owner.customer)
                    by_device.add(owner.customer)
            if owner is None:
                owner = _New()
                new.append(owner)
            found.append(owner)
            for identity in person:
                if identity.mac in assigned or (isinstance(owner, Known) and not may_attach):
                    continue
                assigned[identity.mac] = owner
                if isinstance(owner, _New):
                    owner.identities.append(identity)
                else:
                    attached.append((identity, owner))
                    if identity.kind is IdentityKind.ID:
                        to_confirm.add(owner.customer)
        if not new and not attached:
            return [_with_names(owner, person, assigned) for owner, person in zip(found, people, strict=True)]
        if not await self._write(brand, new, attached, sorted(to_confirm), by_device):
            self.forget(number for _, known in attached for number in (known.customer, known.named))
            return None
        # Somebody may have been faster: what is stored now is what counts.
        settled = await self.look_up(brand, wanted)
        return [
            _with_names(next(settled[each.mac] for each in person if each.mac in settled), person, settled) for person in people
        ]

    async def _nameless(
        self, brand: Brand, people: Sequence[Sequence[Identity]], assigned: dict[bytes, Known | _New]
    ) -> set[int]:
        """Who of those that are reached by a device alone has no other name. Nobody is remembered as such."""
        devices = [person[-1] for person in people if _led_by_device(person, assigned) is not None]
        if not devices:
            return set()
        owners = await self.look_up(brand, devices)
        assigned.update(owners)
        return await rows.nameless(self._pool, {owner.customer for owner in owners.values()})

    async def _write(
        self,
        brand: Brand,
        new: list[_New],
        attached: list[tuple[Identity, Known]],
        to_confirm: list[int],
        by_device: set[int],
    ) -> bool:
        """Create and attach in one transaction; ``False`` if somebody did something with one of them in between."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                if not await self._are_whose_they_were(connection, brand, attached):
                    return False
                if not await self._are_unknown(connection, brand, new, attached):
                    return False
                if by_device:
                    # Two who sign on to one device at once take turns: the second finds it named.
                    await rows.lock(connection, brand)
                    if await rows.nameless(connection, by_device) != by_device:
                        return False
                if not await rows.confirm(connection, to_confirm):
                    return False
                numbers = await rows.create(connection, brand, [each.confirmed for each in new])
                pairs = [(identity, known.customer) for identity, known in attached]
                pairs += [(identity, number) for each, number in zip(new, numbers, strict=True) for identity in each.identities]
                await rows.attach(connection, brand, pairs)
        except asyncpg.DeadlockDetectedError:
            return False
        return True

    async def _are_whose_they_were(
        self, connection: rows.Connection, brand: Brand, attached: list[tuple[Identity, Known]]
    ) -> bool:
        """Whether those who were ever merged are part of the same still: a name given to another could not be taken back."""
        merged = {known.named: known.customer for _, known in attached if known.generation}
        if not merged:
            return True
        await rows.lock(connection, brand)
        now = [await rows.find_by_number(connection, named) for named in merged]
        return [None if each is None else each.customer for each in now] == list(merged.values())

    async def _are_unknown(
        self, connection: rows.Connection, brand: Brand, new: list[_New], attached: list[tuple[Identity, Known]]
    ) -> bool:
        """Whether nobody has these identities yet, where the table's key alone does not see to it.

        That is while there are two keys: a process with the other one in use stores them as other rows.
        """
        wanted = [identity for identity, _ in attached] + [identity for each in new for identity in each.identities]
        if not wanted or len({stored.key_no for stored in wanted[0].stored_as}) == 1:
            return True
        await rows.lock(connection, brand)
        return not (await rows.find(connection, wanted)).known

    async def _recall(self, brand: Brand, wanted: Sequence[Identity]) -> Mapping[bytes, Known]:
        recalled: dict[bytes, Known] = {}
        unknown: list[Identity] = []
        for identity in wanted:
            number = self._numbers.get(identity.mac)
            known = None if number is None else self._known.get(number)
            if known is None:
                unknown.append(identity)
            else:
                recalled[identity.mac] = known
        return {**recalled, **await self.look_up(brand, unknown)} if unknown else recalled

    async def look_up(self, brand: Brand, wanted: Sequence[Identity]) -> Mapping[bytes, Known]:
        """Whom each of ``wanted`` names, by what it is to be stored as; what is found under an old key is stored anew."""
        self._heard.setdefault(brand.brand_id, brand.consent_no)
        forgettings = self._forgettings
        macs = rows.macs_of(wanted)
        few = len(macs) <= TOGETHER_MAX
        found = rows.found_of(wanted, await (self._stored.get_many(macs) if few else rows.find_stored(self._pool, macs)))
        if found.outdated:
            async with self._pool.acquire() as connection, connection.transaction():
                await rows.lock(connection, brand)
                await rows.store_anew(connection, brand, found.outdated)
        # Whose name leads to others too is looked up each time: what those have refused may change, and is theirs.
        self._remember({mac: known for mac, known in found.known.items() if mac not in found.doubled}, forgettings)
        return found.known

    async def doubles(self, people: Sequence[Sequence[Identity]]) -> list[set[int]]:
        """Which other customers the names of each of ``people`` lead to in former spellings, as they are now."""
        wanted = [identity for person in people for identity in person if len(identity.stored_as) > 1]
        if not wanted:
            return [set() for _ in people]
        found = (await rows.find(self._pool, wanted)).doubled
        return [{other.customer for identity in person for other in found.get(identity.mac, ())} for person in people]

    def _remember(self, found: Mapping[bytes, Known], forgettings: int) -> None:
        """Remember whom names were found to name, and who she is."""
        for mac, known in found.items():
            self._numbers[mac] = known.named
        while len(self._numbers) > REMEMBERED_MAX:
            self._numbers.popitem(last=False)
        self._remember_people(found.values(), forgettings)

    def _remember_people(self, people: Iterable[Known], forgettings: int) -> None:
        """Remember what was read, unless somebody was forgotten since ``forgettings`` were counted: it may be of her."""
        if forgettings != self._forgettings:
            return
        for known in people:
            self._known[known.named] = known
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)


def _names(wishes: Sequence[Attach | Merge]) -> list[Identity | OurNumber]:
    return [name for wish in wishes for name in (wish.names if isinstance(wish, Attach) else (wish.survivor, wish.name))]


def _owner(person: Sequence[Identity], assigned: Mapping[bytes, Known | _New], confirmed: set[int]) -> Known | _New | None:
    """Whom the strongest known identity names. An id that nobody has yet joins only a customer without one."""
    owner = next((assigned[identity.mac] for identity in deciding(person) if identity.mac in assigned), None)
    if owner is None:
        return None
    brings_an_id = person[0].kind is IdentityKind.ID and person[0].mac not in assigned
    has_an_id = owner.confirmed or (isinstance(owner, Known) and owner.customer in confirmed)
    return None if brings_an_id and has_an_id else owner


def _led_by_device(person: Sequence[Identity], assigned: Mapping[bytes, Known | _New]) -> Known | _New | None:
    """Whom a device names, where nobody has any of the names that come with it."""
    device = person[-1]
    if device.kind is not IdentityKind.DEVICE or len(person) == 1 or any(name.mac in assigned for name in person[:-1]):
        return None
    return assigned.get(device.mac)


def _who_only_has_devices(owner: Known | _New | None, nameless: set[int]) -> Known | _New | None:
    """The owner of a device, unless she has other names."""
    if isinstance(owner, Known):
        return owner if owner.customer in nameless else None
    return owner if owner is None or all(name.kind is IdentityKind.DEVICE for name in owner.identities) else None


def _owners_of_devices(wishes: Sequence[Attach | Merge], known: Mapping[bytes, Known]) -> set[int]:
    """Who has the devices that are to be attached, and no id."""
    names = [name for wish in wishes if isinstance(wish, Attach) for name in wish.names if name.kind is IdentityKind.DEVICE]
    owners = [known[name.mac] for name in names if name.mac in known]
    return {owner.customer for owner in owners if not owner.confirmed}


def _with_names(owner: Known | _New, person: Sequence[Identity], known: Mapping[bytes, Known | _New]) -> Known:
    """Who a person is, with what whoever else she is called by has refused."""
    assert isinstance(owner, Known)
    for identity in person:
        other = known.get(identity.mac)
        if isinstance(other, Known):
            owner = _refusing(owner, other)
    return owner


def _refusing(known: Known, other: Known) -> Known:
    """The one, who has refused what the other has refused too."""
    if not other.refused or other.customer == known.customer:
        return known
    return msgspec.structs.replace(known, refused=(*known.refused, *other.refused))
