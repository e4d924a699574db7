"""The rows that say who is who: the statements on customers and identities. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
import msgspec

from ledger import Standing
from service.brands.brand import Brand
from service.customers.identities import Identity, IdentityKind, OurNumber
from service.customers.opt_outs import Refused, refused_of
from service.storage.database import KeptConnection

LOCK = 1668641124  # "cust"
"""The first half of an advisory lock; the second is the brand."""

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

# Whatever the planner knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.
_WHO = """
    numbered.customer AS named, survivor.customer, survivor.confirmed, survivor.refused::text AS refused,
    CASE WHEN survivor.absorbed > 0 THEN ARRAY(
        SELECT member.customer FROM rewards.customer AS member
        WHERE member.merged_into = survivor.customer ORDER BY member.customer
    ) END AS former,
    survivor.verified,
    survivor.generation,
    CASE WHEN survivor.parted THEN ARRAY(
        SELECT DISTINCT once.other
        FROM (
            SELECT survivor.customer
            UNION ALL
            SELECT member.customer FROM rewards.customer AS member WHERE member.merged_into = survivor.customer
        ) AS mine
        CROSS JOIN LATERAL (SELECT parted.other FROM rewards.parted WHERE parted.customer = mine.customer OFFSET 0) AS once
        CROSS JOIN LATERAL (
            SELECT coalesce(other.merged_into, other.customer) AS survivor
            FROM rewards.customer AS other WHERE other.customer = once.other
            OFFSET 0
        ) AS now
        WHERE now.survivor <> survivor.customer
        ORDER BY once.other
    ) END AS past
"""
# Who was never merged, as nearly everybody, is her own survivor, and is not looked up a second time.
_STANDS = "customer, {0}.confirmed, {0}.absorbed, {0}.verified, {0}.refused, {0}.generation, {0}.parted"
_SURVIVOR = f"""
CROSS JOIN LATERAL (
    SELECT numbered.{_STANDS.format("numbered")} WHERE numbered.merged_into IS NULL
    UNION ALL
    SELECT final.{_STANDS.format("final")} FROM rewards.customer AS final WHERE final.customer = numbered.merged_into
    OFFSET 0
) AS survivor
"""
_NAMED = f"""
FROM unnest($1::bytea[]) WITH ORDINALITY AS wanted (mac, place)
CROSS JOIN LATERAL (
    SELECT identity.customer, identity.verified_by FROM rewards.identity WHERE identity.mac = wanted.mac OFFSET 0
) AS attached
CROSS JOIN LATERAL (
    SELECT customer.merged_into, customer.{_STANDS.format("customer")}
    FROM rewards.customer WHERE customer.customer = attached.customer
    OFFSET 0
) AS numbered
{_SURVIVOR}
"""
_BY_MAC = f"SELECT wanted.place, {_WHO} {_NAMED}"
_BY_MAC_AND_PROOF = f"SELECT wanted.mac, attached.verified_by IS NOT NULL AS proved, {_WHO} {_NAMED}"
_BY_NUMBER = f"""
SELECT {_WHO}
FROM rewards.customer AS numbered
{_SURVIVOR}
WHERE numbered.customer = $1
"""
_BY_NUMBERS_OF_BRAND = f"""
SELECT {_WHO}
FROM unnest($1::bigint[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT customer.* FROM rewards.customer WHERE customer.customer = wanted.number AND customer.brand_id = $2 OFFSET 0
) AS numbered
{_SURVIVOR}
"""
_NAMELESS = f"""
SELECT stored.customer
FROM unnest($1::bigint[]) AS wanted (number)
CROSS JOIN LATERAL (SELECT * FROM rewards.customer WHERE customer.customer = wanted.number OFFSET 0) AS stored
WHERE NOT stored.confirmed AND stored.merged_into IS NULL AND NOT EXISTS (
    SELECT
    FROM (
        SELECT stored.customer
        UNION ALL SELECT member.customer FROM rewards.customer AS member WHERE member.merged_into = stored.customer
    ) AS number
    CROSS JOIN LATERAL (
        SELECT FROM rewards.identity
        WHERE identity.customer = number.customer AND identity.kind <> {IdentityKind.DEVICE:d}
        LIMIT 1
    ) AS named
)
"""
_CREATE = """
INSERT INTO rewards.customer (brand_id, book_id, confirmed)
SELECT $1, $2, wanted.confirmed FROM unnest($3::boolean[]) AS wanted (confirmed)
RETURNING customer
"""
_ATTACH = """
INSERT INTO rewards.identity (mac, brand_id, kind, key_no, form, customer)
SELECT wanted.mac, $1, wanted.kind, wanted.key_no, wanted.form, wanted.customer
FROM unnest($2::bytea[], $3::smallint[], $4::smallint[], $5::smallint[], $6::bigint[])
    AS wanted (mac, kind, key_no, form, customer)
ON CONFLICT (mac) DO NOTHING
RETURNING identity.mac
"""
_DETACH = """
DELETE FROM rewards.identity WHERE identity.mac = ANY($1::bytea[])
RETURNING identity.mac, identity.customer, identity.identity_no, identity.verified_by, identity.created_at
"""
_ATTACH_ANEW = """
INSERT INTO rewards.identity (mac, brand_id, kind, key_no, form, customer, identity_no, verified_by, created_at)
OVERRIDING SYSTEM VALUE
SELECT wanted.mac, $1, wanted.kind, wanted.key_no, wanted.form, wanted.customer, wanted.number, wanted.verified_by, wanted.since
FROM unnest(
    $2::bytea[], $3::smallint[], $4::smallint[], $5::smallint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::timestamptz[]
) AS wanted (mac, kind, key_no, form, customer, number, verified_by, since)
ON CONFLICT (mac) DO UPDATE SET verified_by = excluded.verified_by WHERE identity.verified_by IS NULL
"""
_LOCK_EACH = """
SELECT customer.customer, customer.generation
FROM rewards.customer
WHERE customer.customer = ANY($1::bigint[]) AND customer.merged_into IS NULL
ORDER BY customer.customer
FOR NO KEY UPDATE
"""
_FORMER_OF = """
SELECT merged.customer
FROM unnest($1::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT customer.customer FROM rewards.customer WHERE customer.merged_into = wanted.customer OFFSET 0
) AS merged
"""
_CONFIRM = """
UPDATE rewards.customer SET confirmed = true
WHERE customer.customer = ANY($1::bigint[]) AND NOT customer.confirmed AND customer.merged_into IS NULL
RETURNING customer.customer
"""
_MERGE = """
UPDATE rewards.customer SET merged_into = wanted.survivor, absorbed = 0, generation = $4
FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS wanted (number, survivor, confirmed)
WHERE customer.customer = wanted.number AND (customer.confirmed = wanted.confirmed OR customer.merged_into IS NOT NULL)
RETURNING customer.customer
"""
_ABSORB = """
UPDATE rewards.customer SET absorbed = wanted.absorbed, generation = $4, parted = customer.parted OR wanted.parted
FROM unnest($1::bigint[], $2::smallint[], $3::boolean[]) AS wanted (number, absorbed, parted)
WHERE customer.customer = wanted.number
"""
_REFRESH_VERIFIED = """
UPDATE rewards.customer SET verified = EXISTS (
    SELECT FROM rewards.identity WHERE identity.customer = customer.customer AND identity.verified_by IS NOT NULL
) OR EXISTS (
    SELECT
    FROM rewards.customer AS member
    CROSS JOIN LATERAL (
        SELECT FROM rewards.identity WHERE identity.customer = member.customer AND identity.verified_by IS NOT NULL LIMIT 1
    ) AS proved
    WHERE member.merged_into = customer.customer
)
WHERE customer.customer = ANY($1::bigint[])
"""
_NEXT_GENERATION = "SELECT nextval('rewards.customer_generation')"
# Each side is confirmed if one of its own numbers has an id of the brand's own.
_PART = """
UPDATE rewards.customer
SET merged_into = NULL, absorbed = greatest(0, cardinality(side.numbers) - 1), generation = $3, parted = true,
    confirmed = EXISTS (SELECT FROM rewards.identity WHERE identity.customer = ANY(side.numbers) AND identity.kind = 1)
FROM (VALUES ($1::bigint, ARRAY[$1::bigint]), (($2::bigint[])[1], $2::bigint[])) AS side (number, numbers)
WHERE customer.customer = side.number
"""
_REMEMBER_PARTED = """
INSERT INTO rewards.parted (customer, other)
SELECT pair.customer, pair.other
FROM unnest($2::bigint[]) AS rest (number)
CROSS JOIN LATERAL (VALUES ($1::bigint, rest.number), (rest.number, $1::bigint)) AS pair (customer, other)
ON CONFLICT (customer, other) DO NOTHING
"""
_STANDINGS = """
SELECT customer.customer, coalesce(customer.merged_into, customer.customer) AS survivor, customer.generation
FROM rewards.customer
WHERE customer.customer = ANY($1::bigint[])
ORDER BY customer.customer <> $2, customer.customer
"""
_WERE_ONE = "SELECT EXISTS (SELECT FROM rewards.parted WHERE parted.customer = $1 AND parted.other = ANY($2::bigint[]))"


class Known(msgspec.Struct, frozen=True, gc=False):
    """Who a customer is now.

    ``customer`` is her number, ``former`` those that were merged into it, ascending; ``named`` is the one she was looked up by,
    any of these. ``confirmed`` says that the brand has given its own id for her, ``verified`` that one of her names is proved
    to be hers, ``refused`` when she refused which channels. ``generation`` grows with her merges and splits; ``past`` are the
    numbers that were one with any of hers once and are not now, ascending.
    """

    customer: int
    confirmed: bool
    former: tuple[int, ...]
    named: int
    generation: int = 0
    past: tuple[int, ...] = ()
    verified: bool = False
    refused: Refused = ()


class Found(msgspec.Struct, frozen=True):
    """What identities are stored: whom each names, by what it is to be stored as, and those that are stored as before.

    ``outdated`` has identities by what they are stored as. ``doubled`` has, by what a name is to be stored as, the other
    customers whom former spellings of it lead to: what any of them has refused, whoever has the name has refused.
    """

    known: Mapping[bytes, Known]
    outdated: Mapping[bytes, Identity]
    doubled: Mapping[bytes, Sequence[Known]]


async def lock(connection: Connection, brand: Brand) -> None:
    """Wait for the others who decide on which of the brand's customers are one, until the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK, brand.brand_id)


async def find(connection: Connection | asyncpg.Pool[Any], wanted: Collection[Identity | OurNumber]) -> Found:
    """Look up all of ``wanted`` in one statement, under every key and form; our own numbers in another."""
    names = [each for each in wanted if isinstance(each, Identity)]
    found = found_of(names, await find_stored(connection, macs_of(names)))
    numbers = [each for each in wanted if isinstance(each, OurNumber)]
    if not numbers:
        return found
    numbered = await find_numbers(connection, numbers[0].brand_id, {each.number for each in numbers})
    known = {each.mac: numbered[each.number] for each in numbers if each.number in numbered}
    return msgspec.structs.replace(found, known={**found.known, **known})


def macs_of(wanted: Collection[Identity]) -> set[bytes]:
    """All that ``wanted`` may be stored as."""
    return {stored.mac for identity in wanted for stored in identity.stored_as}


async def find_stored(
    connection: Connection | asyncpg.Pool[Any] | KeptConnection, macs: Collection[bytes]
) -> dict[bytes, Known]:
    """Whom each of ``macs`` names that is stored."""
    wanted = sorted(macs)
    return {wanted[place - 1]: _known(*who) for place, *who in await connection.fetch(_BY_MAC, wanted)}


def found_of(wanted: Collection[Identity], by_mac: Mapping[bytes, Known]) -> Found:
    """What is stored of ``wanted``, given whom each thing that is stored names."""
    known: dict[bytes, Known] = {}
    outdated: dict[bytes, Identity] = {}
    doubled: dict[bytes, list[Known]] = {}
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
            doubled[identity.mac] = list(others.values())
            refused = (*first.refused, *(each for other in others.values() for each in other.refused))
            known[identity.mac] = msgspec.structs.replace(first, refused=refused)
    return Found(known, outdated, doubled)


async def find_by_number(connection: Connection | asyncpg.Pool[Any], number: int) -> Known | None:
    """Whom a number stands for now."""
    row = await connection.fetchrow(_BY_NUMBER, number)
    return None if row is None else _known(*row)


async def find_numbers(connection: Connection | asyncpg.Pool[Any], brand_id: int, numbers: Collection[int]) -> dict[int, Known]:
    """The same of many, as far as they are the brand's."""
    found = [_known(*row) for row in await connection.fetch(_BY_NUMBERS_OF_BRAND, sorted(numbers), brand_id)]
    return {known.named: known for known in found}


async def find_proved(connection: Connection | asyncpg.Pool[Any], wanted: Sequence[Identity]) -> tuple[Known | None, bool]:
    """Whom the first of ``wanted`` names that somebody has, and whether one of them is a name of hers that is verified."""
    rows = {mac: (proved, _known(*who)) for mac, proved, *who in await connection.fetch(_BY_MAC_AND_PROOF, macs_of(wanted))}
    found = [rows[stored.mac] for identity in wanted for stored in identity.stored_as if stored.mac in rows]
    if not found:
        return None, False
    _, first = found[0]
    return first, any(proved and known.customer == first.customer for proved, known in found)


async def nameless(connection: Connection | asyncpg.Pool[Any], numbers: Collection[int]) -> set[int]:
    """Which of these customers are known by devices alone."""
    return {row["customer"] for row in await connection.fetch(_NAMELESS, sorted(numbers))} if numbers else set()


async def create(connection: Connection, brand: Brand, confirmed: Sequence[bool]) -> list[int]:
    """Give out as many numbers."""
    rows = await connection.fetch(_CREATE, brand.brand_id, brand.book.book_id, confirmed)
    return [row["customer"] for row in rows]


async def attach(connection: Connection, brand: Brand, pairs: Sequence[tuple[Identity, int]]) -> int:
    """Attach identities to numbers, but for those that are attached already; return how many were."""
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


async def store_anew(connection: Connection, brand: Brand, outdated: Mapping[bytes, Identity]) -> None:
    """Store identities as they are to be stored now. The caller holds the brand's lock."""
    # What somebody else has stored anew in the meantime is not there to be removed, so it is not stored here either.
    removed = await connection.fetch(_DETACH, sorted(outdated))
    # Two spellings may be one name under a new form: it goes on as the first of them, or rather the first that is verified.
    removed.sort(key=lambda row: (row["verified_by"] is None, row["identity_no"]), reverse=True)
    kept = {outdated[row["mac"]].mac: (outdated[row["mac"]], row) for row in removed}
    ordered = [kept[mac] for mac in sorted(kept)]
    await connection.execute(
        _ATTACH_ANEW,
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
    """Wait for whoever changes one of these, until the end of the transaction, and say which generation each is of.

    Who was merged away is left out.
    """
    return {row["customer"]: row["generation"] for row in await connection.fetch(_LOCK_EACH, sorted(numbers))}


async def former_of(connection: Connection, survivors: Collection[int]) -> list[int]:
    """The numbers that were merged into any of these."""
    return [row["customer"] for row in await connection.fetch(_FORMER_OF, sorted(survivors))]


async def confirm(connection: Connection, numbers: Sequence[int]) -> bool:
    """Note that the brand has given its own id for these; ``False`` if it had for one of them, or she was merged."""
    return not numbers or len(await connection.fetch(_CONFIRM, sorted(numbers))) == len(numbers)


async def merge(
    connection: Connection, moves: Mapping[int, tuple[int, bool]], absorbed: Mapping[int, tuple[int, bool]]
) -> int | None:
    """Point customers to their survivors, each with whether she was confirmed; ``None`` if that has changed for one of them.

    ``absorbed`` says how many each survivor has then, and whether one of them was one with others once. The caller holds the
    brand's lock. Returns the generation that all of them are of then; 0 if there is nothing to do.
    """
    if not moves:
        return 0
    numbers = sorted(moves)
    survivors = [moves[number][0] for number in numbers]
    generation: int = await connection.fetchval(_NEXT_GENERATION)
    moved = await connection.fetch(_MERGE, numbers, survivors, [moves[number][1] for number in numbers], generation)
    counts = list(absorbed.values())
    await connection.execute(
        _ABSORB, list(absorbed), [count for count, _ in counts], [parted for _, parted in counts], generation
    )
    return generation if len(moved) == len(numbers) else None


async def refresh_verified(connection: Connection, numbers: Collection[int]) -> None:
    """Say of these customers anew whether a name of theirs, or of those merged into them, is verified.

    The caller holds the brand's lock.
    """
    await connection.execute(_REFRESH_VERIFIED, sorted(numbers))


async def part(connection: Connection, number: int, rest: Sequence[int]) -> None:
    """Let a number be a customer of its own, and not one any more with the ``rest``, of which the first is the survivor.

    The caller holds the brand's lock.
    """
    generation: int = await connection.fetchval(_NEXT_GENERATION)
    await connection.execute(_PART, number, list(rest), generation)
    await connection.execute(_REMEMBER_PARTED, number, list(rest))


async def were_one(connection: Connection, number: int, others: Collection[int]) -> bool:
    """Whether a number was one with one of the others once, and was split off."""
    return await connection.fetchval(_WERE_ONE, number, list(others))


async def standings(pool: asyncpg.Pool[Any], survivor: int, others: Collection[int]) -> list[Standing]:
    """Of whom each of these is part, all at one instant, the survivor first."""
    return [Standing(*row) for row in await pool.fetch(_STANDINGS, [survivor, *others], survivor)]


def _known(
    named: int,
    customer: int,
    confirmed: bool,
    refused: str | None,
    former: Sequence[int] | None,
    verified: bool,
    generation: int,
    past: Sequence[int] | None,
) -> Known:
    return Known(customer, confirmed, tuple(former or ()), named, generation, tuple(past or ()), verified, refused_of(refused))
