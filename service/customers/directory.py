"""Which customer an identity belongs to. A look-up is one statement for all who wait for one; what was found is remembered.

    find            looks up, creates nothing
    resolve         looks up; whom nobody knows gets a number
    join            attaches names and merges, as far as it is allowed
    split_within    takes apart again who was merged by mistake
    by_number       whom a number that was given out before stands for now
    settle          brings the book in line with who was merged and split, and forgets what was remembered of them

An identity keeps the number it was attached to; which customer a number stands for changes when she is merged into another
(``customer.merged_into``), and when she is split off again. What is remembered of that may be old. It does no harm: every
merge and split gives those whom it concerns a new generation, and the ledger pays nobody for whom it is told another than it
knows; it says that she has moved, and ``settle`` is the answer.

The transactions here are committed before anything is posted, and posting is idempotent: a crash in between leaves a customer
without points, or a merge that the book does not know yet. The next report or look at her balance finds and finishes it.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg

from ledger import Ledger, MergeOutcome
from service.brands.brand import Brand
from service.customers import rows
from service.customers.identities import Identity, IdentityKind
from service.customers.joining import Attach, Changed, Joined, Merge, Parted, Split, decide, split, write
from service.customers.rows import Known
from service.natural_batches import NaturalBatches
from service.problems import Problem
from service.settings import IdentityKey

REMEMBERED_MAX = 200_000
TOGETHER_MAX = 50
"""Look-ups of at most so many names are made together with others that wait; more are a statement of their own anyway."""
ATTEMPTS = 5
"""How often something is tried again because others changed the same customers."""


class _New:
    """A customer of this batch who has no number yet."""

    def __init__(self) -> None:
        self.identities: list[Identity] = []

    @property
    def confirmed(self) -> bool:
        return any(identity.kind is IdentityKind.ID for identity in self.identities)


class CustomerDirectory:
    """Customers by identity. The last of ``keys`` is the one in use."""

    def __init__(self, pool: asyncpg.Pool[Any], keys: Sequence[IdentityKey]) -> None:
        self._pool = pool
        self.keys = tuple(keys)
        self._numbers: OrderedDict[bytes, int] = OrderedDict()
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._settled: dict[int, int] = {}
        self._stored: NaturalBatches[bytes, Known] = NaturalBatches(partial(rows.find_stored, pool))

    async def find(self, brand: Brand, identities: Sequence[Identity]) -> Known | None:
        """The customer whom one of ``identities`` names, the strongest first."""
        known = await self._recall(brand, identities)
        if not all(each.confirmed for each in known.values()):
            # The brand may have given her id elsewhere in the meantime.
            known = await self.look_up(brand, identities)
        return next((known[each.mac] for each in identities if each.mac in known), None)

    async def find_each(self, brand: Brand, people: Sequence[Sequence[Identity]]) -> list[Known | None]:
        """The same for each of ``people``, in one statement."""
        known = await self.look_up(brand, [identity for person in people for identity in person])
        return [next((known[each.mac] for each in person if each.mac in known), None) for person in people]

    async def resolve(self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool) -> list[Known]:
        """Each of ``people``, in order.

        An identity that nobody has yet is attached to the customer it came together with, if the caller ``may_attach``. An
        id of the brand's own never joins a customer that has one: two ids with one address between them are two customers.
        """
        if len(people) == 1 and (remembered := self._remembered(people[0])) is not None:
            return [remembered]
        for _ in range(ATTEMPTS):
            resolved = await self._resolve_once(brand, people, may_attach=may_attach)
            if resolved is not None:
                return resolved
        raise RuntimeError("identities were attached elsewhere at every attempt")

    async def join(self, brand: Brand, wishes: Sequence[Attach | Merge]) -> list[Joined | Problem]:
        """Do each of ``wishes``, in order, as far as the look-ups go; what came of it is still to be settled."""
        wanted = _names(wishes)
        found = await rows.find(self._pool, wanted)
        decision = decide(found.known, wishes)
        if decision.changes_nothing and not found.outdated:
            return decision.answers
        for _ in range(ATTEMPTS):
            with contextlib.suppress(Changed, asyncpg.DeadlockDetectedError):
                async with self._pool.acquire() as connection, connection.transaction():
                    return await self.join_within(connection, brand, wishes)
        raise RuntimeError("customers were changed elsewhere at every attempt")

    async def join_within(
        self, connection: rows.Connection, brand: Brand, wishes: Sequence[Attach | Merge]
    ) -> list[Joined | Problem]:
        """The same in the caller's transaction, which is void if this raises ``Changed``."""
        await rows.lock(connection, brand)
        found = await rows.find(connection, _names(wishes))
        await rows.store_anew(connection, brand, found.outdated)
        decision = decide(found.known, wishes)
        await write(connection, brand, decision)
        # Forgotten a moment early, they may be remembered once more as they were: that is an old memory like any other.
        self.forget(number for person in decision.people for number in person.numbers())
        return decision.answers

    async def split_within(self, connection: rows.Connection, brand: Brand, wish: Split) -> Parted | Problem:
        """Take a number out of the customer it is part of, as far as the look-ups go, in the caller's transaction."""
        await rows.lock(connection, brand)
        found = await rows.find(connection, [wish.whole, wish.name])
        await rows.store_anew(connection, brand, found.outdated)
        parted = await split(connection, found.known, wish)
        self.forget(number for known in found.known.values() for number in (known.customer, *known.former))
        return parted

    async def by_number(self, customer: int) -> Known:
        """Who the customer of this number is now."""
        known = self._known.get(customer)
        # Of the few who were ever merged it is asked anew: nothing else says to a list or a page that she was split off since.
        return known if known is not None and not known.generation else await self._read(customer)

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
        for customer in customers:
            known = self._known.pop(customer, None)
            if known is not None:
                for number in (known.customer, *known.former):
                    self._known.pop(number, None)

    def _remembered(self, person: Sequence[Identity]) -> Known | None:
        """Who a person is, if all of her names are remembered: then there is nothing to attach."""
        strongest: Known | None = None
        for each in person:
            number = self._numbers.get(each.mac)
            known = None if number is None else self._known.get(number)
            if known is None:
                return None
            strongest = strongest or known
        return strongest

    async def _read(self, customer: int) -> Known:
        known = await rows.find_by_number(self._pool, customer)
        if known is None:
            return Known(customer, confirmed=False, former=(), named=customer)
        self._remember([known])
        return known

    async def _resolve_once(
        self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool
    ) -> list[Known] | None:
        wanted = [identity for person in people for identity in person]
        assigned: dict[bytes, Known | _New] = {**await self._recall(brand, wanted)}
        found: list[Known | _New] = []
        new: list[_New] = []
        attached: list[tuple[Identity, Known]] = []
        to_confirm: set[int] = set()
        for person in people:
            owner = _owner(person, assigned, to_confirm)
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
            return [owner for owner in found if isinstance(owner, Known)]
        if not await self._write(brand, new, attached, sorted(to_confirm)):
            self.forget(number for _, known in attached for number in (known.customer, known.named))
            return None
        # Somebody may have been faster: what is stored now is what counts.
        settled = await self.look_up(brand, wanted)
        return [next(settled[identity.mac] for identity in person if identity.mac in settled) for person in people]

    async def _write(
        self, brand: Brand, new: list[_New], attached: list[tuple[Identity, Known]], to_confirm: list[int]
    ) -> bool:
        """Create and attach in one transaction; ``False`` if somebody did something with one of them in between."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                if not await self._are_whose_they_were(connection, brand, attached):
                    return False
                if not await self._are_unknown(connection, brand, new, attached):
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

        That is while there are two keys, or forms: a process with the other one in use stores them as other rows.
        """
        wanted = [identity for identity, _ in attached] + [identity for each in new for identity in each.identities]
        if all(len(identity.stored_as) == 1 for identity in wanted):
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
        macs = rows.macs_of(wanted)
        few = len(macs) <= TOGETHER_MAX
        found = rows.found_of(wanted, await (self._stored.get_many(macs) if few else rows.find_stored(self._pool, macs)))
        if found.outdated:
            async with self._pool.acquire() as connection, connection.transaction():
                await rows.lock(connection, brand)
                await rows.store_anew(connection, brand, found.outdated)
        self._numbers.update((mac, known.named) for mac, known in found.known.items())
        while len(self._numbers) > REMEMBERED_MAX:
            self._numbers.popitem(last=False)
        self._remember(found.known.values())
        return found.known

    def _remember(self, known: Iterable[Known]) -> None:
        self._known.update((each.named, each) for each in known)
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)


def _names(wishes: Sequence[Attach | Merge]) -> list[Identity]:
    return [name for wish in wishes for name in (wish.names if isinstance(wish, Attach) else (wish.survivor, wish.name))]


def _owner(person: Sequence[Identity], assigned: Mapping[bytes, Known | _New], confirmed: set[int]) -> Known | _New | None:
    """Whom the strongest known identity names. An id that nobody has yet joins only a customer without one."""
    owner = next((assigned[identity.mac] for identity in person if identity.mac in assigned), None)
    if owner is None:
        return None
    brings_an_id = person[0].kind is IdentityKind.ID and person[0].mac not in assigned
    has_an_id = owner.confirmed or (isinstance(owner, Known) and owner.customer in confirmed)
    return None if brings_an_id and has_an_id else owner
