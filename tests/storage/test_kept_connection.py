"""A connection of its own for a hot statement."""

from __future__ import annotations

import asyncpg
import pytest

from service.storage.database import APPLICATION_ROLE, KeptConnection, is_away
from tests.conftest import Database


@pytest.mark.own_database("looks at which connection it is")
async def test_a_kept_connection_is_opened_when_it_is_needed_and_again_when_it_was_lost(database: Database) -> None:
    kept = KeptConnection(database.application_url, APPLICATION_ROLE)
    settings = "SELECT pg_backend_pid(), current_setting('plan_cache_mode'), current_user::text"
    ((first, mode, role),) = await kept.fetch(settings)
    assert (mode, role) == ("force_generic_plan", APPLICATION_ROLE)
    assert [row["pid"] for row in await kept.fetch("SELECT pg_backend_pid() AS pid")] == [first]
    with pytest.raises(asyncpg.PostgresError):
        await kept.fetch("SELECT 1 / $1::integer", 0)
    assert [row["pid"] for row in await kept.fetch("SELECT pg_backend_pid() AS pid")] == [first]

    await end(database, first)
    second = first
    while second == first:
        # Who asks before the end is heard of is told so; who asks after it is answered on another connection.
        try:
            ((second, mode, _),) = await kept.fetch(settings)
        except Exception as lost:
            assert is_away(lost)  # noqa: PT017
    assert mode == "force_generic_plan"
    await kept.close()
    ((third, _, _),) = await kept.fetch(settings)
    assert third not in {first, second}
    await kept.close()


async def end(database: Database, pid: int) -> None:
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("SELECT pg_terminate_backend($1)", pid)
    await owner.close()


async def test_a_kept_connection_to_a_database_that_is_away_says_so() -> None:
    kept = KeptConnection("postgresql://nobody@127.0.0.1:1/nowhere", APPLICATION_ROLE)
    with pytest.raises(ConnectionError) as away:
        await kept.fetch("SELECT 1")
    assert is_away(away.value)
    await kept.close()
