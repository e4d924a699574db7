"""Which customer an identity belongs to. A look-up is one statement for a whole batch; what was found is remembered.

    find      looks up, creates nothing
    resolve   looks up; whom nobody knows gets a number

The transactions here are committed before anything is posted, and posting is idempotent: a crash in between leaves a customer
without points, whom the next report finds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from service.brands.brand import Brand
from service.customers.identities import FORM, Identity, IdentityKind
from service.settings import IdentityKey

REMEMBERED_MAX = 200_000
_ATTEMPTS = 3

_FIND = """
SELECT identity.mac, identity.customer, customer.confirmed
FROM unnest($1::bytea[]) AS wanted (mac)
JOIN rewards.identity ON identity.mac = wanted.mac
JOIN rewards.customer ON customer.customer = identity.customer
"""
_CREATE = """
INSERT INTO rewards.customer (brand_id, book_id, confirmed)
SELECT $1, $2, confirmed FROM unnest($3::boolean[]) AS wanted (confirmed)
RETURNING customer
"""
_ATTACH = """
INSERT INTO rewards.identity (mac, brand_id, kind, key_no, form, customer)
SELECT wanted.mac, $1, wanted.kind, $2, $3, wanted.customer
FROM unnest($4::bytea[], $5::smallint[], $6::bigint[]) AS wanted (mac, kind, customer)
ON CONFLICT (mac) DO NOTHING
"""
_CONFIRM = """
UPDATE rewards.customer SET confirmed = true
WHERE customer.customer = ANY($1::bigint[]) AND NOT customer.confirmed
RETURNING customer.customer
"""


class Known(msgspec.Struct, frozen=True):
    """A customer's number; ``confirmed`` says that the brand has given its own id for her."""

    customer: int
    confirmed: bool


class _New:
    """A customer of this batch who has no number yet."""

    def __init__(self) -> None:
        self.identities: list[Identity] = []

    @property
    def confirmed(self) -> bool:
        return any(identity.kind is IdentityKind.ID for identity in self.identities)


class CustomerDirectory:
    """Customers by identity."""

    def __init__(self, pool: asyncpg.Pool[Any], key: IdentityKey) -> None:
        self._pool = pool
        self.key = key
        self._remembered: OrderedDict[bytes, Known] = OrderedDict()

    async def find(self, identities: Sequence[Identity]) -> Known | None:
        """The customer whom one of ``identities`` names, the strongest first."""
        macs = [identity.mac for identity in identities]
        known = await self._known(macs)
        if not all(each.confirmed for each in known.values()):
            # The brand may have given her id elsewhere in the meantime.
            known = await self._look_up(macs)
        return next((known[mac] for mac in macs if mac in known), None)

    async def resolve(self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool) -> list[int]:
        """The number of each of ``people``, in order.

        An identity that nobody has yet is attached to the customer it came together with, if the caller ``may_attach``. An
        id of the brand's own never joins a customer that has one: two ids with one address between them are two customers.
        """
        for _ in range(_ATTEMPTS):
            numbers = await self._resolve_once(brand, people, may_attach=may_attach)
            if numbers is not None:
                return numbers
        raise RuntimeError("identities were attached elsewhere at every attempt")

    async def _resolve_once(self, brand: Brand, people: Sequence[Sequence[Identity]], *, may_attach: bool) -> list[int] | None:
        macs = [identity.mac for person in people for identity in person]
        assigned: dict[bytes, Known | _New] = {**await self._known(macs)}
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
            return [owner.customer for owner in found if isinstance(owner, Known)]
        if not await self._write(brand, new, attached, sorted(to_confirm)):
            return None
        # Somebody may have been faster: what is stored now is what counts.
        settled = await self._look_up(macs)
        return [owner.customer if isinstance(owner, Known) else settled[owner.identities[0].mac].customer for owner in found]

    async def _write(
        self, brand: Brand, new: list[_New], attached: list[tuple[Identity, Known]], to_confirm: list[int]
    ) -> bool:
        """Create and attach in one transaction; ``False`` if another id was attached to one of them in between."""
        async with self._pool.acquire() as connection, connection.transaction():
            if to_confirm and len(await connection.fetch(_CONFIRM, to_confirm)) != len(to_confirm):
                self._remembered.clear()
                return False
            rows = await connection.fetch(_CREATE, brand.brand_id, brand.book.book_id, [each.confirmed for each in new])
            wanted = [(identity, known.customer) for identity, known in attached]
            wanted += [(identity, row["customer"]) for each, row in zip(new, rows, strict=True) for identity in each.identities]
            # In order, so that two batches with the same people never wait for each other in a circle.
            wanted.sort(key=lambda pair: pair[0].mac)
            await connection.execute(
                _ATTACH,
                brand.brand_id,
                self.key.key_no,
                FORM,
                [identity.mac for identity, _ in wanted],
                [identity.kind for identity, _ in wanted],
                [customer for _, customer in wanted],
            )
        return True

    async def _known(self, macs: Sequence[bytes]) -> dict[bytes, Known]:
        known = {mac: self._remembered[mac] for mac in macs if mac in self._remembered}
        unknown = [mac for mac in macs if mac not in known]
        return known | await self._look_up(unknown) if unknown else known

    async def _look_up(self, macs: Sequence[bytes]) -> dict[bytes, Known]:
        rows = await self._pool.fetch(_FIND, sorted(set(macs)))
        found = {row["mac"]: Known(row["customer"], row["confirmed"]) for row in rows}
        self._remembered.update(found)
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return found


def _owner(person: Sequence[Identity], assigned: dict[bytes, Known | _New], confirmed: set[int]) -> Known | _New | None:
    """Whom the strongest known identity names. An id that nobody has yet joins only a customer without one."""
    owner = next((assigned[identity.mac] for identity in person if identity.mac in assigned), None)
    if owner is None:
        return None
    brings_an_id = person[0].kind is IdentityKind.ID and person[0].mac not in assigned
    has_an_id = owner.confirmed or (isinstance(owner, Known) and owner.customer in confirmed)
    return None if brings_an_id and has_an_id else owner
