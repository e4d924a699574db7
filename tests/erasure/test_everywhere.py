"""An erased customer is nowhere: tables, spool, dead letters, log lines, new exports; nor in a backup of before, once restored.

One life and one erasure, by the commands that operators use; every file is read for every spelling of the customer's names.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from service.crypto.derived_keys import derived_keys
from service.link_pages import deferred_claims
from service.link_pages.deferred_settling import settlement
from service.settings import load, write_private
from service.storage.database import READER_ROLE, create_pool
from service.storage.spool import Spool
from service.storage.spool_files import ASIDE
from service.storage.spool_records import frame
from service.storage.spool_seals import Seals
from tests.api_fixtures import Api
from tests.cli import running
from tests.conftest import Database
from tests.erasure.conftest import ADA, BOB, Erase, Owner, Who, erased, live, redeem, report
from tests.erasure.test_dead_letters import act_of
from tests.erasure.test_erasing import everything, exported, named_in
from tests.ledger.conftest import assert_books_are_sound
from tests.migrations.test_upgrade import empty_database
from tests.processes import serving

__all__ = ["empty_database"]

pytestmark = [pytest.mark.usefixtures("campaign"), pytest.mark.own_database("it is dumped")]

WITHIN_S = 30.0


def late_act(customer: int, who: Who) -> bytes:
    """An act of a customer that waits for the database, with their name in its message."""
    act = msgspec.msgpack.decode(act_of(customer), type=deferred_claims.DeferredClaim)
    assert act.claims is not None
    claims = msgspec.structs.replace(act.claims, message_id=f"late-{who.name}")
    return msgspec.msgpack.encode(msgspec.structs.replace(act, claims=claims))


def files_below(directory: Path) -> dict[str, str]:
    """All files, as text."""
    return {
        str(path.relative_to(directory)): path.read_bytes().decode("latin-1") for path in directory.rglob("*") if path.is_file()
    }


async def until_unnamed(directory: Path, who: Who) -> None:
    """Return once no file names somebody."""
    deadline = time.monotonic() + WITHIN_S
    while found := named_in(files_below(directory), who):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_they_are_nowhere_and_come_back_from_nowhere(
    api: Api,
    database: Database,
    owner: Owner,
    empty_database: Database,
    reader_pool: asyncpg.Pool[Any],
    checker: httpx.AsyncClient,
    erase: Erase,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deferred_claims, "FORGETS_EVERY_S", 0.05)
    monkeypatch.setattr(deferred_claims, "ADOPTS_EVERY_S", 0.05)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for who in (ADA, BOB):
        await live(api, who)
    held = await redeem(api, ADA, 30, "held while the backup is made")
    spool = Spool(
        api.settings.spool_path, bytes_max=1_000_000, seals=Seals(derived_keys(api.secrets.link_keys, "spool record 1"))
    )
    await spool.append(late_act(1, ADA))
    await spool.append(late_act(2, BOB))
    (api.settings.spool_path / ASIDE).write_bytes(frame(late_act(1, ADA)) + frame(late_act(2, BOB)))
    write_private(api.settings.secrets_path, msgspec.json.encode(api.secrets))
    environ = running.environ(
        Path(api.settings.data_dir), database_url=database.application_url, owner_database_url=database.owner_url
    )
    made = await asyncio.to_thread(running.run, environ, "backup", str(elsewhere / "backup"))
    assert made.returncode == 0, made.stdout + made.stderr
    kept = named_in(files_below(elsewhere / "backup"), ADA)
    assert {path.partition("/")[0] for path in kept} >= {"spool"}

    voided = await api.client("storefront").post(f"/v1/redemptions/{held['redemption_id']}/void")
    voided.raise_for_status()
    capfd.readouterr()
    await erased(api, checker, erase, ADA)
    await spool.close()
    await api.services.deferred_claims.forget_erased(settlement(api.services))
    await until_unnamed(api.settings.spool_path, ADA)
    assert (await report(api, ADA, "mail-after")).status_code == 410
    await nowhere(owner, api, reader_pool, elsewhere / "exported", capfd)

    restored_to = elsewhere / "restored"
    environ = running.environ(
        restored_to,
        database_url=empty_database.application_url,
        owner_database_url=empty_database.owner_url,
        erasures_file=api.settings.erasures_path,
    )
    done = await asyncio.to_thread(running.run, environ, "restore", str(elsewhere / "backup"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Erased again 1 customers" in done.stdout
    assert named_in({"command": done.stdout + done.stderr}, ADA) == {}
    restored: Owner = await asyncpg.connect(empty_database.owner_url)
    # Before anything is served.
    assert named_in(await everything(restored), ADA) == {}
    settings = load(environ)
    async with serving(settings, api.secrets, 1) as (app,):
        there = Api(app, api.brand, api.keys, settings, api.secrets)
        assert (await report(there, ADA, "mail-after-the-restore")).status_code == 410
        await until_unnamed(settings.spool_path, ADA)
        pool = await create_pool(empty_database.application_url, READER_ROLE, size=1)
        await nowhere(restored, there, pool, elsewhere / "exported again", capfd)
        pool.terminate()
        await there.close()
    await restored.close()


async def nowhere(
    owner: Owner, api: Api, reader_pool: asyncpg.Pool[Any], directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tables, new exports, log and files of the data directory name Bob, and nobody else."""
    tables = await everything(owner)
    files = await exported(api, reader_pool, directory)
    said = capfd.readouterr()
    assert named_in(tables | files | {"log": said.out + said.err}, ADA) == {}
    assert named_in(files_below(Path(api.settings.data_dir)), ADA) == {}
    assert {"rewards.consent", "transfer_details.csv"} <= named_in(tables | files, BOB).keys()
    await assert_books_are_sound(owner)
