"""Exports in an S3-compatible bucket, of a server on this machine."""

# Listing could also give Arrow's tables, which have no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncGenerator, Generator
from typing import Any

import asyncpg
import httpx
import msgspec
import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from service.app import bind
from service.export_jobs import object_store
from service.settings import SettingsError, load
from tests.api_fixtures import Api
from tests.export_jobs.conftest import ExportWorker, look, order
from tests.finance.conftest import Till

URL = "s3://books/of-rewards"


@pytest.fixture(scope="module")
def s3_server() -> Generator[str]:
    """The address of a server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """An empty bucket, and the environment that leads to it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    httpx.post(f"{s3_server}/moto-api/reset")
    assert httpx.put(f"{s3_server}/books").status_code == 200
    return S3Store.from_url(URL, client_options={"allow_http": True})


class Door:
    """A way to a server that can be shut: requests go through, or the connection breaks off."""

    def __init__(self, to: str) -> None:
        self._host, _, self._port = to.removeprefix("http://").partition(":")
        self._is_open = True
        self.url = ""

    def open(self) -> None:
        self._is_open = True

    def close(self) -> None:
        self._is_open = False

    async def pass_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what both sides say, while it is open."""
        if not self._is_open:
            writer.close()
            return
        server_reader, server_writer = await asyncio.open_connection(self._host, int(self._port))
        both = (self._carry(reader, server_writer), self._carry(server_reader, writer))
        await asyncio.gather(*both, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (some := await reader.read(65_536)) and self._is_open:
            writer.write(some)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def gate(to: str) -> AsyncGenerator[Door]:
    """A door before a server."""
    door = Door(to)
    server = await asyncio.start_server(door.pass_through, "127.0.0.1")
    door.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield door
    server.close()


@pytest.fixture
def in_bucket(api: Api, bucket: S3Store) -> Generator[S3Store]:
    """The API keeps its exports in the bucket."""
    services = api.services
    settings = msgspec.structs.replace(services.settings, exports_store=URL)
    bind(api.app, msgspec.structs.replace(services, settings=settings))
    yield bucket
    bind(api.app, services)


def names(bucket: S3Store) -> list[str]:
    return sorted(each["path"].partition("/")[2] for listed in obstore.list(bucket) for each in listed)


@pytest.mark.one_process("its store is this test's")
async def test_files_are_kept_in_the_bucket_and_nowhere_else(
    api: Api, busy_till: Till, export_worker: ExportWorker, in_bucket: S3Store
) -> None:
    job = await order(api)
    await export_worker.work(exports_store=URL)
    done = await look(api, job)
    assert done["status"] == "done", done
    assert names(in_bucket) == ["accounts.csv", "manifest.json", "transfers.csv"]
    assert [path for path in api.settings.exports_path.rglob("*") if path.is_file()] == []
    finance = api.client("finance")
    for file in done["files"]:
        whole = await finance.get(file["url"])
        assert hashlib.sha256(whole.content).hexdigest() == file["sha256"]
        part = await finance.get(file["url"], headers={"Range": "bytes=7-20"})
        assert (part.status_code, part.content) == (206, whole.content[7:21])
    await finance.delete(f"/v1/exports/{job['id']}")
    assert await export_worker.prune(exports_store=URL) == 1
    assert names(in_bucket) == []


@pytest.mark.one_process("its store is this test's")
async def test_an_export_whose_files_are_gone_from_the_bucket_is_lost(
    api: Api, busy_till: Till, export_worker: ExportWorker, in_bucket: S3Store
) -> None:
    job = await order(api)
    await export_worker.work(exports_store=URL)
    obstore.delete(in_bucket, f"{job['id']}/transfers.csv")
    answer = await api.client("finance").get(f"/v1/exports/{job['id']}/files/transfers.csv")
    assert (answer.status_code, answer.json()["code"]) == (409, "files_lost")
    assert (await look(api, job))["status"] == "lost"


@pytest.mark.one_process("its store is this test's")
async def test_a_store_that_goes_away_in_the_middle_fails_the_job_and_nothing_counts(
    api: Api,
    busy_till: Till,
    export_worker: ExportWorker,
    in_bucket: S3Store,
    owner: asyncpg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(object_store, "RETRIES_MAX", 0)
    here = os.environ["AWS_ENDPOINT_URL"]
    async with gate(here) as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL", door.url)
        url = f"{URL}/through-the-door"
        job = await order(api)
        async with owner.transaction():
            await owner.execute("SET LOCAL idle_in_transaction_session_timeout = '1min'")
            # What the second file reads is locked until the first is in the bucket.
            await owner.execute("LOCK ledger.transfer IN ACCESS EXCLUSIVE MODE")
            working = asyncio.create_task(export_worker.work(exports_store=url))
            while not any(name.endswith("accounts.csv") for name in names(in_bucket)):
                await look(api, job)
            door.close()
        assert await asyncio.wait_for(working, 60) == 1
        failed = await look(api, job)
        assert (failed["status"], failed["files"]) == ("failed", [])
        assert failed["error"] == "the store of exports: generic error of the object store"
        door.open()
        await owner.execute("UPDATE rewards.export_job SET leased_until = clock_timestamp() - interval '1 second'")
        assert await export_worker.prune(exports_store=url) == 1
        assert names(in_bucket) == []


async def test_a_store_that_cannot_be_reached_fails_the_job(
    api: Api, busy_till: Till, export_worker: ExportWorker, bucket: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(object_store, "RETRIES_MAX", 0)
    job = await order(api)
    await export_worker.work(exports_store="s3://books/nowhere")
    failed = await look(api, job)
    assert (failed["status"], failed["files"]) == ("failed", [])
    assert failed["error"] == "the store of exports: generic error of the object store"


async def test_a_killed_worker_s_files_stay_in_the_bucket(
    api: Api, busy_till: Till, export_worker: ExportWorker, bucket: S3Store, owner: asyncpg.Connection[Any]
) -> None:
    store = object_store.ObjectStore(URL, api.settings.exports_path)
    await store.begin("exp_1")
    (store.place("exp_1") / "accounts.csv").write_text("whole")
    await store.keep("exp_1", "accounts.csv")
    (store.place("exp_1") / "transfers.csv").write_text("whole, and not uploaded yet")
    await store.begin("exp_1")
    assert list(store.place("exp_1").iterdir()) == []
    assert names(bucket) == ["accounts.csv"]


def test_only_a_bucket_is_a_store() -> None:
    with pytest.raises(SettingsError, match="must begin with s3://"):
        load({"REWARDS_EXPORTS_STORE": "/mnt/exports"})
