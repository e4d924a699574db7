"""The statements that merge customers and split them. The caller owns the transaction, and holds the brand's lock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from service.customers.queries import Connection

_SQL = Path(__file__).with_name("sql")
_MERGE = (_SQL / "merge_customers.sql").read_text()
_ABSORB = """
UPDATE rewards.customer SET absorbed = wanted.absorbed, generation = $4, parted = customer.parted OR wanted.parted
FROM unnest($1::bigint[], $2::smallint[], $3::boolean[]) AS wanted (number, absorbed, parted)
WHERE customer.customer = wanted.number
"""
_NEXT_GENERATION = "SELECT nextval('rewards.customer_generation')"
_SPLIT = (_SQL / "split_customer.sql").read_text()
_RECORD_SPLIT = (_SQL / "remember_split.sql").read_text()
_WERE_ONE = "SELECT EXISTS (SELECT FROM rewards.parted WHERE parted.customer = $1 AND parted.other = ANY($2::bigint[]))"


async def merge(
    connection: Connection, moves: Mapping[int, tuple[int, bool]], absorbed: Mapping[int, tuple[int, bool]]
) -> int | None:
    """Point customers to their survivors, each with whether it was confirmed; ``None`` if that has changed for one of them.

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


async def split(connection: Connection, number: int, rest: Sequence[int]) -> None:
    """Split a number off from the ``rest`` of its customer, of which the first is the survivor.

    The caller holds the brand's lock.
    """
    generation: int = await connection.fetchval(_NEXT_GENERATION)
    await connection.execute(_SPLIT, number, list(rest), generation)
    await connection.execute(_RECORD_SPLIT, number, list(rest))


async def were_one(connection: Connection, number: int, others: Collection[int]) -> bool:
    """Whether a number was once part of the same customer as one of the others, and was split off."""
    return await connection.fetchval(_WERE_ONE, number, list(others))
