"""How the service's connections are set, whatever the server's own settings are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from service.settings import load
from service.storage.database import APPLICATION_ROLE, DatabaseAway, KeptConnection, connect, create_engine, create_pool
from tests.conftest import Database

CLIENT = "SELECT host(inet_client_addr())"
"""The address that a client connects from; over a Unix socket it has none."""


@pytest.mark.own_database("changes its settings")
async def test_no_statement_is_compiled(database: Database, owner: asyncpg.Connection[asyncpg.Record]) -> None:
    await owner.execute(f"ALTER DATABASE {database.name} SET jit = on")
    read = "SELECT current_setting('jit')"

    single = await connect(database.application_url, APPLICATION_ROLE)
    pool = await create_pool(database.application_url, APPLICATION_ROLE)
    kept = KeptConnection(database.application_url, APPLICATION_ROLE)
    engine = create_engine(database.application_url, APPLICATION_ROLE)
    async with engine.connect() as session:
        by_engine = (await session.execute(text(read))).scalar_one()
    found = [await single.fetchval(read), await pool.fetchval(read), (await kept.fetch(read))[0][0], by_engine]

    assert found == ["off"] * 4
    await single.close()
    await pool.close()
    await kept.close()
    await engine.dispose()


@pytest.fixture(params=["in the host's place", "as an option"])
def socket_url(database: Database, request: pytest.FixtureRequest) -> str:
    """The URL of a Unix socket, written as an operator may write it."""
    parts = urlsplit(database.application_url)
    host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    if not host.startswith("/"):
        pytest.skip("The server of this run listens on TCP alone")
    if request.param == "as an option":
        login = parts.netloc.rpartition("@")[0]
        parts = parts._replace(netloc=f"{login}@", query=f"host={host}&port={parts.port}")
    return load({"REWARDS_DATABASE_URL": parts.geturl()}).database_url


async def test_all_ways_to_the_database_lead_over_a_unix_socket_too(socket_url: str) -> None:
    single = await connect(socket_url, APPLICATION_ROLE)
    pool = await create_pool(socket_url, APPLICATION_ROLE)
    kept = KeptConnection(socket_url, APPLICATION_ROLE)
    engine = create_engine(socket_url, APPLICATION_ROLE)
    async with engine.connect() as session:
        by_engine = (await session.execute(text(CLIENT))).scalar_one()
    found = [await single.fetchval(CLIENT), await pool.fetchval(CLIENT), (await kept.fetch(CLIENT))[0][0], by_engine]

    assert found == [None] * 4
    await single.close()
    await pool.close()
    await kept.close()
    await engine.dispose()


async def test_a_socket_that_is_missing_is_a_database_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(DatabaseAway):
        await connect(f"postgresql://rewards@{quote(str(tmp_path), safe='')}:5432/rewards")
