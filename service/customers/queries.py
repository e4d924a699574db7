"""The statements on customers and identities. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from ledger import Standing
from service.brands.brand import Brand
from service.customers.identities import Identity, OurNumber
from service.customers.opt_outs import OptOuts, decode_opt_outs
from service.storage.database import KeptConnection

LOCK = 1668641124  # "cust"
"""The first half of an advisory lock; the second is the brand."""

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

_SQL = Path(__file__).with_name("sql")
_NEVER_MERGED = (_SQL / "who_never_merged.sql").read_text()
_BY_MAC = (_SQL / "who_by_mac.sql").read_text()
_BY_NUMBER = (_SQL / "who_by_number.sql").read_text()
_BY_NUMBERS = (_SQL / "who_by_numbers.sql").read_text()
_DEVICE_ONLY = (_SQL / "device_only.sql").read_text()
_CREATE = (_SQL / "create_customers.sql").read_text()
_ATTACH = (_SQL / "attach_identities.sql").read_text()
_DETACH = """
DELETE FROM rewards.identity WHERE identity.mac = ANY($1::bytea[])
RETURNING identity.mac, identity.customer, identity.identity_no, identity.verified_by, identity.created_at
"""
_REATTACH = (_SQL / "reattach_identities.sql").read_text()
_ERASED_AMONG = """
SELECT customer.customer FROM rewards.customer WHERE customer.customer = ANY($1::bigint[]) AND customer.erased_at IS NOT NULL
"""
_LOCK_EACH = (_SQL / "lock_customers.sql").read_text()
_FORMER_OF = (_SQL / "former_of.sql").read_text()
_CONFIRM = """
UPDATE rewards.customer SET confirmed = true
WHERE customer.customer = ANY($1::bigint[]) AND NOT customer.confirmed AND customer.merged_into IS NULL
RETURNING customer.customer
"""
_REFRESH_VERIFIED = (_SQL / "refresh_verified.sql").read_text()
_STANDINGS = (_SQL / "standings.sql").read_text()


class Customer(msgspec.Struct, frozen=True, gc=False):
    """A customer as the look-ups know them now.

    ``customer`` is their number, ``former`` the numbers merged into it, ascending; ``named`` is the one of these that was
    looked up. ``confirmed``: the brand has given its own id for them. ``verified``: a name is proved. ``refused``: when
    they refused which channels. ``generation`` grows with every merge and split; ``past`` are the numbers that were once part
    of the same customer and no longer are, ascending. ``erased``: the number is in the books, and names nobody.
    """

    customer: int
    confirmed: bool
    former: tuple[int, ...]
    named: int
    generation: int = 0
    past: tuple[int, ...] = ()
    verified: bool = False
    refused: OptOuts = ()
    erased: bool = False

    def with_opt_outs_of(self, other: Customer) -> Customer:
        """The same customer, with the opt-outs of another added."""
        if not other.refused or other.customer == self.customer:
            return self
        return msgspec.structs.replace(self, refused=(*self.refused, *other.refused))


class Found(msgspec.Struct, frozen=True):
    """What identities are stored: whom each names, by what it is to be stored as, and those that are stored as before.

    ``outdated`` has identities by what they are stored as. ``duplicates`` has, by what a name is to be stored as, the other
    customers whom former spellings of it lead to: their refusals count for the customer with the name.
    """

    known: Mapping[bytes, Customer]
    outdated: Mapping[bytes, Identity]
    duplicates: Mapping[bytes, Sequence[Customer]]


async def lock(connection: Connection, brand: Brand) -> None:
    """Lock the brand's merges, splits and attachments until the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK, brand.brand_id)


async def find(connection: Connection | asyncpg.Pool[Any], wanted: Collection[Identity | OurNumber]) -> Found:
    """Look up all of ``wanted``: names under every key and form, and our own numbers."""
    names = [each for each in wanted if isinstance(each, Identity)]
    found = found_of(names, await find_stored(connection, macs_of(names)))
    numbers = [each for each in wanted if isinstance(each, OurNumber)]
    if not numbers:
        return found
    numbered = await find_numbers(connection, numbers[0].brand_id, {each.number for each in numbers})
    known = {each.mac: numbered[each.number] for each in numbers if each.number in numbered}
    return msgspec.structs.replace(found, known={**found.known, **known})


def macs_of(wanted: Collection[Identity]) -> set[bytes]:
    """Every hash that ``wanted`` may be stored under."""
    return {stored.mac for identity in wanted for stored in identity.stored_as}


async def find_stored(
    connection: Connection | asyncpg.Pool[Any] | KeptConnection, macs: Collection[bytes]
) -> dict[bytes, Customer]:
    """The customer of each of ``macs`` that is stored. For those who were ever merged or split it takes a second statement."""
    found: dict[bytes, Customer] = {}
    merged: list[bytes] = []
    for mac, number, confirmed, refused, verified, generation in await connection.fetch(_NEVER_MERGED, sorted(macs)):
        if generation:
            merged.append(mac)
        else:
            found[mac] = Customer(number, confirmed, (), number, verified=verified, refused=decode_opt_outs(refused))
    if merged:
        found |= {merged[place - 1]: _customer(*who) for place, _, *who in await connection.fetch(_BY_MAC, merged)}
    return found


def found_of(wanted: Collection[Identity], by_mac: Mapping[bytes, Customer]) -> Found:
    """What is stored of ``wanted``, given whom each thing that is stored names."""
    known: dict[bytes, Customer] = {}
    outdated: dict[bytes, Identity] = {}
    duplicates: dict[bytes, list[Customer]] = {}
    for identity in wanted:
        if len(identity.stored_as) == 1:
            # There is one key and one spelling, and so no older way in which it may be stored.
            if (who := by_mac.get(identity.mac)) is not None:
                known[identity.mac] = who
            continue
        there = [stored for stored in identity.stored_as if stored.mac in by_mac]
        if not there:
            continue
        first = known[identity.mac] = by_mac[there[0].mac]
        outdated |= {
            stored.mac: identity for stored in there if identity.outdates(stored) and by_mac[stored.mac].named == first.named
        }
        others = {by_mac[stored.mac].customer: by_mac[stored.mac] for stored in there}
        del others[first.customer]
        if others:
            duplicates[identity.mac] = list(others.values())
            refused = (*first.refused, *(each for other in others.values() for each in other.refused))
            known[identity.mac] = msgspec.structs.replace(first, refused=refused)
    return Found(known, outdated, duplicates)


async def find_by_number(connection: Connection | asyncpg.Pool[Any], number: int) -> Customer | None:
    """The customer that a number belongs to now."""
    row = await connection.fetchrow(_BY_NUMBER, number)
    return None if row is None else _customer(*row)


async def find_numbers(
    connection: Connection | asyncpg.Pool[Any], brand_id: int, numbers: Collection[int]
) -> dict[int, Customer]:
    """The customers that the brand's numbers belong to now; other brands' numbers are left out."""
    found = [_customer(*row) for row in await connection.fetch(_BY_NUMBERS, sorted(numbers), brand_id)]
    return {known.named: known for known in found}


async def erased_among(connection: Connection | asyncpg.Pool[Any], numbers: Collection[int]) -> set[int]:
    """Those of these customers who were erased."""
    return {row["customer"] for row in await connection.fetch(_ERASED_AMONG, sorted(numbers))} if numbers else set()


async def find_proved(connection: Connection | asyncpg.Pool[Any], wanted: Sequence[Identity]) -> tuple[Customer | None, bool]:
    """The customer of the first of ``wanted`` that is stored, and whether any of ``wanted`` is a verified name of theirs."""
    macs = sorted(macs_of(wanted))
    rows: dict[bytes, tuple[bool, Customer]] = {
        macs[place - 1]: (proved, _customer(*who)) for place, proved, *who in await connection.fetch(_BY_MAC, macs)
    }
    found = [rows[stored.mac] for identity in wanted for stored in identity.stored_as if stored.mac in rows]
    if not found:
        return None, False
    _, first = found[0]
    return first, any(proved and known.customer == first.customer for proved, known in found)


async def device_only(connection: Connection | asyncpg.Pool[Any], numbers: Collection[int]) -> set[int]:
    """Those of these customers that have no name but devices."""
    return {row["customer"] for row in await connection.fetch(_DEVICE_ONLY, sorted(numbers))} if numbers else set()


async def create(connection: Connection, brand: Brand, confirmed: Sequence[bool]) -> list[int]:
    """Create customers, and return their numbers."""
    rows = await connection.fetch(_CREATE, brand.brand_id, brand.book.book_id, confirmed)
    return [row["customer"] for row in rows]


async def attach(connection: Connection, brand: Brand, pairs: Sequence[tuple[Identity, int]]) -> int:
    """Attach identities to numbers, skipping those that are attached already. Returns how many were attached."""
    # In order, so that two batches with the same people never wait for each other in a circle.
    ordered = sorted(pairs, key=lambda pair: pair[0].mac)
    attached = await connection.fetch(
        _ATTACH,
        brand.brand_id,
        [identity.mac for identity, _ in ordered],
        [identity.kind for identity, _ in ordered],
        [identity.stored_as[0].key_no for identity, _ in ordered],
        [identity.stored_as[0].form for identity, _ in ordered],
        [number for _, number in ordered],
    )
    return len(attached)


async def rehash(connection: Connection, brand: Brand, outdated: Mapping[bytes, Identity]) -> None:
    """Store identities under the key and form in use. The caller holds the brand's lock."""
    # What another process has rehashed meanwhile is not there to be removed, so it is not stored here either.
    removed = await connection.fetch(_DETACH, sorted(outdated))
    # Two spellings may be one name under a new form: it goes on as the first of them, or rather the first that is verified.
    removed.sort(key=lambda row: (row["verified_by"] is None, row["identity_no"]), reverse=True)
    kept = {outdated[row["mac"]].mac: (outdated[row["mac"]], row) for row in removed}
    ordered = [kept[mac] for mac in sorted(kept)]
    await connection.execute(
        _REATTACH,
        brand.brand_id,
        [identity.mac for identity, _ in ordered],
        [identity.kind for identity, _ in ordered],
        [identity.stored_as[0].key_no for identity, _ in ordered],
        [identity.stored_as[0].form for identity, _ in ordered],
        [row["customer"] for _, row in ordered],
        [row["identity_no"] for _, row in ordered],
        [row["verified_by"] for _, row in ordered],
        [row["created_at"] for _, row in ordered],
    )


async def lock_each(connection: Connection, numbers: Collection[int]) -> dict[int, int]:
    """Lock these customers until the end of the transaction; return their generations. Merged ones are left out."""
    return {row["customer"]: row["generation"] for row in await connection.fetch(_LOCK_EACH, sorted(numbers))}


async def former_of(connection: Connection, survivors: Collection[int]) -> list[int]:
    """The numbers that were merged into any of these."""
    return [row["customer"] for row in await connection.fetch(_FORMER_OF, sorted(survivors))]


async def confirm(connection: Connection, numbers: Sequence[int]) -> bool:
    """Record that the brand has given its own id for these; ``False`` if it already had for one, or one was merged away."""
    return not numbers or len(await connection.fetch(_CONFIRM, sorted(numbers))) == len(numbers)


async def refresh_verified(connection: Connection, numbers: Collection[int]) -> None:
    """Recompute whether these customers, with all merged into them, have a verified name.

    The caller holds the brand's lock.
    """
    await connection.execute(_REFRESH_VERIFIED, sorted(numbers))


async def standings(pool: asyncpg.Pool[Any], survivor: int, others: Collection[int]) -> list[Standing]:
    """The survivor of each of these numbers, all at one instant; the survivor itself comes first."""
    return [Standing(*row) for row in await pool.fetch(_STANDINGS, [survivor, *others], survivor)]


def _customer(
    named: int,
    customer: int,
    confirmed: bool,
    refused: str | None,
    former: Sequence[int] | None,
    verified: bool,
    generation: int,
    past: Sequence[int] | None,
    erased: bool,
) -> Customer:
    return Customer(
        customer,
        confirmed,
        tuple(former or ()),
        named,
        generation,
        tuple(past or ()),
        verified,
        decode_opt_outs(refused),
        erased,
    )
