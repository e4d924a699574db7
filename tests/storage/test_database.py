"""How the service's connections are set, whatever the server's own settings are."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import text

from service.storage.database import APPLICATION_ROLE, KeptConnection, connect, create_engine, create_pool
from tests.conftest import Database


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
