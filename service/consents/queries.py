"""The rows of what was said. The caller of ``standing`` and ``insert`` owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import msgspec

from ledger import Position

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one customer and channel. ``consent_no`` is its place in the order in which we were told."""

    consent_no: int
    customer: int
    channel: str
    at: datetime
    refused: bool
    source: str
    recorded_at: datetime
    recorded_by: int
    link_made_by: int | None


_COLUMNS = ", ".join(f"said.{name}" for name in Statement.__struct_fields__)

# All numbers of a customer. Whatever the planner knew of the tables, each row is looked up by its key.
_NUMBERS = """
ARRAY(
    SELECT wanted.customer
    UNION ALL
    SELECT merged.customer
    FROM (SELECT customer.customer FROM rewards.customer WHERE customer.merged_into = wanted.customer OFFSET 0) AS merged
)
"""
_STANDING = f"""
SELECT
    EXISTS (
        SELECT FROM rewards.consent
        WHERE consent.customer = ANY (one.numbers) AND consent.channel = wanted.channel AND consent.at = wanted.at
            AND consent.refused = wanted.refused AND consent.source = wanted.source
    ) AS was_said,
    {_COLUMNS}
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[]) WITH ORDINALITY
    AS wanted (customer, number, channel, at, refused, source, n)
CROSS JOIN LATERAL (SELECT {_NUMBERS} AS numbers OFFSET 0) AS one
LEFT JOIN LATERAL (
    SELECT *
    FROM rewards.consent
    WHERE consent.customer = ANY (one.numbers) AND consent.channel = wanted.channel
    ORDER BY consent.at DESC, consent.refused DESC, consent.consent_no DESC
    LIMIT 1
) AS said ON true
ORDER BY wanted.n
"""
_INSERT = f"""
INSERT INTO rewards.consent AS said (brand_id, customer, channel, at, refused, source, recorded_at, recorded_by, link_made_by)
SELECT $1, wanted.number, wanted.channel, wanted.at, wanted.refused, wanted.source, $2, $3, $4
FROM unnest($5::bigint[], $6::bigint[], $7::text[], $8::timestamptz[], $9::boolean[], $10::text[]) WITH ORDINALITY
    AS wanted (customer, number, channel, at, refused, source, n)
ORDER BY wanted.n
RETURNING {_COLUMNS}
"""
_CURRENT = f"""
SELECT {_COLUMNS}
FROM (
    SELECT DISTINCT ON (consent.channel) consent.*
    FROM rewards.consent
    WHERE consent.customer = ANY ($1::bigint[])
    ORDER BY consent.channel, consent.at DESC, consent.refused DESC, consent.consent_no DESC
) AS said
ORDER BY said.channel
"""
_HISTORY = f"""
SELECT {_COLUMNS}
FROM rewards.consent AS said
WHERE said.customer = ANY ($1::bigint[]) AND ($2::timestamptz IS NULL OR (said.at, said.consent_no) < ($2, $3))
ORDER BY said.at DESC, said.consent_no DESC
LIMIT $4
"""


class Said(msgspec.Struct, frozen=True):
    """What somebody tells us of a customer. ``number`` is the one that the name given leads to: it is said of that."""

    customer: int
    number: int
    channel: str
    at: datetime
    refused: bool
    source: str

    @property
    def words(self) -> tuple[int, str, datetime, bool, str]:
        """What is said, under whichever name of hers."""
        return (self.customer, self.channel, self.at, self.refused, self.source)


async def standing(connection: Connection, wanted: Sequence[Said]) -> list[tuple[bool, Statement | None]]:
    """Of each of ``wanted`` whether it was said before, under any of her numbers, and what holds for the channel so far."""
    rows = await connection.fetch(_STANDING, *_columns(wanted))
    return [(row["was_said"], None if row["consent_no"] is None else _statement(row)) for row in rows]


async def insert(
    connection: Connection, brand_id: int, wanted: Sequence[Said], *, recorded_at: datetime, told_by: tuple[int, int | None]
) -> dict[Said, Statement]:
    """Add to the history, in order; give each as it is stored. ``told_by``: the key, and the key that made the link."""
    rows = await connection.fetch(_INSERT, brand_id, recorded_at, *told_by, *_columns(wanted))
    stored = {(said.customer, said.channel, said.at, said.refused, said.source): said for said in map(_statement, rows)}
    return {said: stored[said.number, said.channel, said.at, said.refused, said.source] for said in wanted}


async def current(pool: asyncpg.Pool[Any], numbers: Sequence[int]) -> list[Statement]:
    """What holds for each channel, given all numbers of a customer; by channel."""
    return [_statement(row) for row in await pool.fetch(_CURRENT, numbers)]


async def history(pool: asyncpg.Pool[Any], numbers: Sequence[int], *, before: Position | None, limit: int) -> list[Statement]:
    """All that was said, latest first; ``before`` is the ``cursor`` of the last of the page before."""
    at = None if before is None else _EPOCH + before.seq * _MICROSECOND
    place = None if before is None else before.place
    return [_statement(row) for row in await pool.fetch(_HISTORY, numbers, at, place, limit)]


def cursor(said: Statement) -> Position:
    """Where a page of the history ends."""
    return Position((said.at - _EPOCH) // _MICROSECOND, said.consent_no)


def _columns(wanted: Sequence[Said]) -> list[list[Any]]:
    return [[getattr(each, name) for each in wanted] for name in Said.__struct_fields__]


def _statement(row: Any) -> Statement:
    return Statement(**{name: row[name] for name in Statement.__struct_fields__})
