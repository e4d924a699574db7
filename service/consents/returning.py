"""Customers who were erased, and have agreed to be contacted since: they are somebody new.

In one transaction their names become names again, of a customer with a number of their own, and it is written down that nothing
is rewarded that they did before they agreed. So a late report finds either nobody, or a customer who earns nothing by it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from service.brands.brand import Brand
from service.consents.recording import EARLIEST, ConsentChange, RecordedBy, record_locked
from service.consents.schemas import ConsentItem
from service.customers import opt_outs, queries
from service.customers.directory import ATTEMPTS, CustomerDirectory
from service.customers.identities import Identity, named
from service.customers.new_names import ConcurrentChange
from service.customers.queries import Connection, Customer

if TYPE_CHECKING:
    from service.services import Services

_SOURCE = "consent after an erasure"


class _Agreed(msgspec.Struct, frozen=True):
    """Somebody agreed, under these names."""

    names: Sequence[Identity]
    at: datetime


async def welcome(services: Services, recorded_by: RecordedBy, items: Sequence[ConsentItem], now: datetime) -> None:
    """Let those be customers again of whom ``items`` say that they agreed after they were erased."""
    directory, brand = services.customers, recorded_by.brand
    agreed = _agreed(directory, brand, items, now)
    if not await _returning(directory, brand, agreed):
        return
    for _ in range(ATTEMPTS):
        with contextlib.suppress(ConcurrentChange, asyncpg.DeadlockDetectedError):
            async with services.pool.acquire() as connection, connection.transaction():
                people = await _welcome(directory, connection, recorded_by, agreed, now)
            directory.forget(known.customer for known in people)
            return
    raise RuntimeError("customers were changed elsewhere at every attempt")


def _agreed(directory: CustomerDirectory, brand: Brand, items: Sequence[ConsentItem], now: datetime) -> list[_Agreed]:
    return [
        _Agreed(names, item.at or now)
        for item in items
        if item.status == "granted" and isinstance(names := named(item.customer, brand.brand_id, directory.keys), list)
    ]


async def _returning(
    directory: CustomerDirectory, brand: Brand, agreed: Sequence[_Agreed], *, over: Connection | None = None
) -> list[_Agreed]:
    """Those of ``agreed`` who were erased before, each with the names that they may have again."""
    erased = await directory.tombstones.among(brand.brand_id, [name for each in agreed for name in each.names], over=over)
    free = [
        _Agreed([name for name in each.names if name.mac not in erased or erased[name.mac] < each.at], each.at)
        for each in agreed
    ]
    return [each for each in free if any(name.mac in erased for name in each.names)]


async def _welcome(
    directory: CustomerDirectory, connection: Connection, recorded_by: RecordedBy, agreed: Sequence[_Agreed], now: datetime
) -> list[Customer]:
    brand = recorded_by.brand
    # Nobody is erased, merged or split while the brand is locked.
    await queries.lock(connection, brand)
    # Another process may have welcomed them meanwhile.
    returning = await _returning(directory, brand, agreed, over=connection)
    people = await directory.give_back(connection, brand, [each.names for each in returning])
    await queries.lock_each(connection, {known.customer for known in people})
    barriers = [_barrier(known, each) for known, each in zip(people, returning, strict=True)]
    changes = [(known, change) for each in barriers for known, change in each]
    await record_locked(connection, recorded_by, [change for _, change in changes], [known for known, _ in changes], now)
    return people


def _barrier(known: Customer, agreed: _Agreed) -> list[tuple[Customer, ConsentChange]]:
    """What keeps a customer from being rewarded for what happened before they agreed."""
    return [
        (known, ConsentChange(opt_outs.ALL, "refused", _SOURCE, EARLIEST)),
        (known, ConsentChange(opt_outs.ALL, "granted", _SOURCE, agreed.at)),
    ]
