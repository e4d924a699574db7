"""Arrays as they are written here are those that the database reads."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from ledger.engine.arrays import (
    ALL,
    BIGINTS,
    BOOLEANS,
    BYTEAS,
    CHARS,
    DATES,
    INTEGERS,
    MOMENTS,
    SMALLINTS,
    TEXTS,
    Array,
    register_codecs,
)

VALUES: list[tuple[Array, str, list[Any]]] = [
    (SMALLINTS, "smallint[]", [-(2**15), -1, 0, 1, 2**15 - 1]),
    (INTEGERS, "integer[]", [-(2**31), -1, 0, 1, 2**31 - 1]),
    (BIGINTS, "bigint[]", [-(2**63), -1, 0, 1, 2**63 - 1]),
    (BOOLEANS, "boolean[]", [True, False, False]),
    (CHARS, '"char"[]', [b"A", b"D"]),
    (TEXTS, "text[]", ["", "click", None, "Zoë \u4e2d \U0001f600", "x" * 5_000, "NULL", '{"a":1}']),
    (BYTEAS, "bytea[]", [b"", b"\0\xff", None, bytes(5_000)]),
    (DATES, "date[]", [date(1, 1, 1), date(1999, 12, 31), date(2000, 1, 1), date(2026, 11, 26), date.max]),
    (
        MOMENTS,
        "timestamptz[]",
        [datetime(1, 1, 1, tzinfo=UTC), None, datetime(2026, 11, 26, 3, 25, 0, 123_456, tzinfo=UTC)],
    ),
]


@pytest.mark.parametrize(("array", "what", "values"), VALUES, ids=[what for _, what, _ in VALUES])
async def test_the_database_reads_what_was_written(
    owner: asyncpg.Connection[Any], array: Array, what: str, values: list[Any]
) -> None:
    await register_codecs(owner)
    for written in ([], values[:1], values[:2], values, values * 300):
        domain = f"ledger.{array.domain}"
        row = await owner.fetchrow(f"SELECT $1::{domain}::{what}, cardinality($1::{domain})", array.encode(written))
        assert row is not None
        assert tuple(row) == (written, len(written))


async def test_infinity_is_the_last_day(owner: asyncpg.Connection[Any]) -> None:
    await register_codecs(owner)
    assert await owner.fetchval("SELECT ($1::ledger.dates)[1] = 'infinity'", DATES.encode([date.max]))


@pytest.mark.parametrize(
    ("array", "values"),
    [(SMALLINTS, [2**15]), (INTEGERS, [1, 2**31]), (BIGINTS, [2**63]), (INTEGERS, ["1"]), (TEXTS, ["\ud800"])],
)
def test_what_an_element_cannot_be_is_refused(array: Array, values: list[Any]) -> None:
    with pytest.raises((OverflowError, ValueError)):
        array.encode(values)


async def test_each_kind_of_array_has_a_name_in_the_database(owner: asyncpg.Connection[Any]) -> None:
    named = await owner.fetch(
        "SELECT typname FROM pg_type WHERE typnamespace = 'ledger'::regnamespace AND typtype = 'd' AND typcategory = 'A'"
    )
    assert sorted(row["typname"] for row in named) == sorted(array.domain for array in ALL)


@pytest.mark.own_database("changes the schema")
async def test_a_database_without_the_names_says_so(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("DROP DOMAIN ledger.moments")
    with pytest.raises(LookupError, match=r"ledger\.moments"):
        await register_codecs(owner)
