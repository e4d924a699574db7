"""Tombstones: keyed hashes that say of a name that its customer was erased, and not who that was.

A name is looked for under the identity keys, and under those of once (`Secrets.tombstone_keys`): changing keys brings nobody
back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from service.customers.identities import Identity, mac
from service.customers.queries import Connection, Customer
from service.http.problems import Problem
from service.settings import IdentityKey

_FIND = "SELECT mac, erased_at FROM rewards.tombstone WHERE mac = ANY($1::bytea[])"
_LIFT = "DELETE FROM rewards.tombstone WHERE mac = ANY($1::bytea[])"

NOBODY = Customer(0, confirmed=False, former=(), named=0, erased=True)
"""Stands for whoever has a name of an erased customer."""


def customer_erased() -> Problem:
    """The problem of whatever concerns a customer who was erased."""
    return Problem("customer_erased", "The customer was erased. Nothing is recorded about them.")


class Tombstones:
    """Looks names up among those of the erased. ``keys`` are the identity keys of once."""

    def __init__(self, pool: asyncpg.Pool[Any], keys: Sequence[IdentityKey]) -> None:
        self._pool = pool
        self._keys = keys

    async def among(
        self, brand_id: int, names: Collection[Identity], *, over: Connection | None = None
    ) -> Mapping[bytes, datetime]:
        """When the customers of ``names`` were erased, by what each name is to be stored as. Whoever holds a connection asks
        over that.
        """
        wanted = {each.mac: self._macs(brand_id, each) for each in names}
        if not wanted:
            return {}
        found = dict(await (over or self._pool).fetch(_FIND, sorted({one for macs in wanted.values() for one in macs})))
        times = {name: [found[one] for one in macs if one in found] for name, macs in wanted.items()}
        return {name: max(each) for name, each in times.items() if each}

    async def lift(self, connection: Connection, brand_id: int, names: Iterable[Identity]) -> None:
        """Forget that the customers of ``names`` were erased."""
        await connection.execute(_LIFT, sorted({one for name in names for one in self._macs(brand_id, name)}))

    def _macs(self, brand_id: int, name: Identity) -> set[bytes]:
        of_once = {mac(key, brand_id, name.kind, spelling) for key in self._keys for spelling in name.spellings}
        return of_once | {stored.mac for stored in name.stored_as}
