"""Exports in an S3-compatible bucket, of a server on this machine."""

# Listing could also give Arrow's tables, which have no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib
from collections.abc import Generator
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
async def test_a_file_that_is_gone_from_the_bucket_is_no_answer(
    api: Api, busy_till: Till, export_worker: ExportWorker, in_bucket: S3Store
) -> None:
    job = await order(api)
    await export_worker.work(exports_store=URL)
    obstore.delete(in_bucket, f"{job['id']}/transfers.csv")
    answer = await api.client("finance").get(f"/v1/exports/{job['id']}/files/transfers.csv")
    assert (answer.status_code, answer.json()["code"]) == (503, "file_unavailable")


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
