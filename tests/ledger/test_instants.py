"""Instants are counted whole: equal instants have equal numbers, whatever their time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from ledger import from_unix_microseconds, unix_microseconds
from ledger.instants import microseconds

INSTANTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=2))),
    datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
]


@pytest.mark.parametrize("at", INSTANTS)
async def test_an_instant_is_the_number_that_the_database_has(owner: asyncpg.Connection[Any], at: datetime) -> None:
    statement = "SELECT (extract(epoch FROM $1::timestamptz) * 1000000)::bigint"
    assert unix_microseconds(at) == await owner.fetchval(statement, at)
    since_2000 = "SELECT (extract(epoch FROM $1::timestamptz) * 1000000)::bigint - 946684800000000"
    assert microseconds(at) == await owner.fetchval(since_2000, at)


@pytest.mark.parametrize("at", INSTANTS)
def test_an_instant_comes_back(at: datetime) -> None:
    assert from_unix_microseconds(unix_microseconds(at)) == at
