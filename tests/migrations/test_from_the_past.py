"""A database that the code of an earlier commit made and used is upgraded in place, and is as good as a fresh one.

Of each database in ``past/`` all is kept: tables, functions and rights as they were, a brand's book, its keys and secrets.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from ledger import Book, audit
from migrations.upgrade import newest_revision
from service.cli.migrate import migrate
from service.settings import Secrets, Settings
from tests.cli import running
from tests.conftest import Database
from tests.migrations.test_interrupted import until_gone, who_waits
from tests.migrations.test_restored_rights import client_of, rights
from tests.migrations.test_upgrade import catalog, empty_database
from tests.processes import serving

__all__ = ["empty_database"]

PAST = Path(__file__).parent / "past"
SCHEMAS = ("ledger", "rewards")
TABLES = """
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace) AND relkind = 'r' AND relname <> 'alembic_version'
"""

Rows = dict[str, list[dict[str, Any]]]


class Past:
    """A restored database, and what is known of it."""

    def __init__(self, database: Database, known: dict[str, Any]) -> None:
        self.database = database
        self.known = known
        self.book = Book(1, 1)

    @property
    def secrets(self) -> Secrets:
        return msgspec.msgpack.decode(base64.b64decode(self.known["secrets"]), type=Secrets)

    def authorized(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.known['keys'][key]}"}


@pytest.fixture(params=sorted(file.stem for file in PAST.glob("*.json")))
async def past(request: pytest.FixtureRequest, empty_database: Database) -> Past:
    connection = await asyncpg.connect(empty_database.owner_url)
    await connection.execute(gzip.decompress((PAST / f"{request.param}.sql.gz").read_bytes()).decode())
    await connection.close()
    return Past(empty_database, json.loads((PAST / f"{request.param}.json").read_bytes()))


async def shape(url: str) -> dict[str, Any]:
    """All that both schemas are, and who may do what."""
    return {schema: await catalog(url, schema) for schema in SCHEMAS} | {"rights": await rights(url)}


async def rows(url: str) -> Rows:
    """What is in each table."""
    connection = await asyncpg.connect(url)
    tables = [row[0] for row in await connection.fetch(TABLES)]
    found = {table: await connection.fetch(f"SELECT to_jsonb(each) FROM {table} AS each") for table in tables}
    await connection.close()
    return {table: [json.loads(row[0]) for row in there] for table, there in found.items()}


def of_before(now: Rows, before: Rows) -> Rows:
    """What ``now`` has in those columns that the rows of ``before`` had, in the order of before."""
    kept: Rows = {}
    for table, there in before.items():
        columns = there[0].keys() if there else ()
        kept[table] = [{column: row.get(column) for column in columns} for row in now[table]]
    return kept


def in_order(found: Rows) -> dict[str, list[str]]:
    return {table: sorted(json.dumps(row, sort_keys=True) for row in there) for table, there in found.items()}


async def test_a_database_of_before_is_upgraded_to_what_a_fresh_one_is(past: Past, database: Database) -> None:
    url = past.database.owner_url
    before = await rows(url)
    assert len(before["ledger.transfer"]) == past.known["transfers"]
    await migrate(url, past.database.application_url)
    after, fresh = await shape(url), await shape(database.owner_url)
    for schema in SCHEMAS:
        for what in fresh[schema]:
            assert after[schema][what] == fresh[schema][what], (schema, what)
    assert after["rights"] == fresh["rights"]
    assert in_order(of_before(await rows(url), before)) == in_order(before)
    assert await migrate(url, past.database.application_url) is False


async def test_an_upgrade_that_is_killed_leaves_it_as_it_was_and_completes_when_run_again(
    past: Past, database: Database, tmp_path: Path
) -> None:
    url = past.database.owner_url
    owner = await asyncpg.connect(url)
    # There is something to do, also for a version that has changed nothing since.
    await owner.execute("COMMENT ON SCHEMA ledger IS 'functions of an earlier release'")
    before, had = await shape(url), in_order(await rows(url))
    environ = running.environ(tmp_path, database_url=past.database.application_url, owner_database_url=url)
    # All is done by then, but for saying so.
    async with owner.transaction():
        await owner.execute("COMMENT ON SCHEMA ledger IS 'held'")
        process = await asyncio.to_thread(subprocess.Popen, running.command("migrate"), env=environ)
        waiting = await who_waits(past.database, "COMMENT ON SCHEMA ledger%")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    await until_gone(owner, waiting)
    assert await shape(url) == before
    assert in_order(await rows(url)) == had

    finished = await asyncio.to_thread(running.run, environ, "migrate")
    assert (finished.returncode, finished.stdout) == (0, "Migrated.\n"), finished.stderr
    assert await shape(url) == await shape(database.owner_url)
    assert await owner.fetchval("SELECT version_num FROM rewards.alembic_version") == newest_revision()
    await owner.close()


async def test_what_was_begun_before_goes_on_after(past: Past, tmp_path: Path) -> None:
    await migrate(past.database.owner_url, past.database.application_url)
    settings = Settings(
        database_url=past.database.application_url, base_url="http://rewards.test", demo=True, data_dir=str(tmp_path)
    )
    async with serving(settings, past.secrets, 1) as (app,), client_of(app) as client:
        await _go_on(past, client)
    owner = await asyncpg.connect(past.database.owner_url)
    assert [each for each in await audit(owner, past.book) if each.violations] == []
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer") > past.known["transfers"]
    await owner.close()


async def _go_on(past: Past, client: httpx.AsyncClient) -> None:
    known, messaging, storefront = past.known, past.authorized("messaging"), past.authorized("storefront")
    again = await client.post("/v1/grants", json=known["grant"], headers=messaging)
    assert (again.status_code, again.json()["replayed"]) == (200, True)
    anew = await client.post("/v1/grants", json=known["grant"] | {"message_id": "m-new"}, headers=messaging)
    assert anew.status_code == 201, anew.text
    refusing = known["grant"] | {"customer": {"id": "dora"}, "occurred_at": datetime.now(UTC).isoformat()}
    ignored = (await client.post("/v1/grants", json=refusing, headers=messaging)).json()
    assert (ignored["outcome"], ignored["reason"]) == ("ignored", "consent_refused")
    refund = f"/v1/redemptions/{known['captured']}/refund"
    refunded = await client.post(refund, json={"points": 5}, headers=storefront | {"Idempotency-Key": "later"})
    assert refunded.is_success, refunded.text
    split = await client.post("/v1/customers/bob/split", json={"customer": {"id": "cleo"}}, headers=messaging)
    assert split.is_success, split.text
    claimed = [(await client.post(path)).status_code for path in known["links"][:2]]
    assert claimed == [303, 303]
    assert (await client.get(known["links"][2])).status_code == 302
