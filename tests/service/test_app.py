"""The application as a process: what it says of each request, how healthy it is, and what it does without its database."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import structlog
from litestar import Litestar

from service.app import create_app, operator_app
from service.observability import log
from service.server.health import DatabaseUnsafe, DatabaseWatch, refuse_unsafe
from service.settings import Settings
from service.storage.database import create_pool
from tests.api_fixtures import Api, make_brand, make_keys, make_secrets
from tests.conftest import Database
from tests.database_end import connect_to

Owner: TypeAlias = "asyncpg.Connection[Any]"


def client_of(app: Litestar, **headers: str) -> httpx.AsyncClient:
    transport: Any = httpx.ASGITransport(app=app)  # pyright: ignore[reportArgumentType]
    return httpx.AsyncClient(transport=transport, base_url="http://rewards.test", headers=headers)


# ---- One line a request


@pytest.fixture
def lines() -> Generator[io.BytesIO]:
    """What is logged, as bytes."""
    written = io.BytesIO()
    log.configure("info", written)
    yield written
    structlog.reset_defaults()


def logged(lines: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


async def test_a_request_is_one_line_without_secrets_or_personal_data(api: Api, lines: io.BytesIO) -> None:
    client = api.client("messaging")
    await client.post(
        "/v1/links?debug=querysecret",
        json={"links": [{"message_id": "m", "customer": {"email": "ada@example.org"}}]},
        headers={"X-Request-Id": "trace-1", "User-Agent": "agent-secret", "X-Forwarded-For": "203.0.113.7"},
    )
    (line,) = logged(lines)
    assert line.pop("duration_ms") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("status") < 500
    line.pop("code", None)
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "trace-1",
        "method": "POST",
        "route": "/v1/links",
        "brand": "lumen",
        "api_key_id": 2,
    }
    written = lines.getvalue().decode()
    for secret in (api.keys["messaging"][8:], "querysecret", "ada@example.org", "agent-secret", "203.0.113.7"):
        assert secret not in written


async def test_the_path_of_a_reward_link_is_not_logged(api: Api, lines: io.BytesIO) -> None:
    await api.client(None).get("/r/eyJhbGciOiJFZERTQSJ9.secret.token")
    await api.client(None).get("/nowhere/secret")
    written = lines.getvalue().decode()
    assert "secret" not in written
    assert [line["route"] for line in logged(lines)] == ["/r/{token}", "unmatched"]


async def test_a_request_id_that_could_not_be_logged_is_replaced(api: Api) -> None:
    for sent, kept in (("trace:1.a_b-C", True), ("x" * 65, False), ("a b", False), ('"', False)):
        answer = await api.client(None).get("/health/live", headers={"X-Request-Id": sent})
        assert (answer.headers["x-request-id"] == sent) is kept
        assert kept or answer.headers["x-request-id"].startswith("req_")


def test_an_error_is_logged_without_its_message(lines: io.BytesIO) -> None:
    try:
        raise ValueError("ada@example.org") from KeyError("inner secret")
    except ValueError as error:
        log.error_with_frames("failed", error, request_id="req_1")
    (line,) = logged(lines)
    assert (line["error"], line["cause"]["error"]) == ("ValueError", "KeyError")
    assert "test_app.py" in line["frames"][0]
    assert "ada@example.org" not in lines.getvalue().decode()
    assert "inner secret" not in lines.getvalue().decode()


def test_what_libraries_say_is_logged_in_the_same_form(lines: io.BytesIO) -> None:
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task exception=ValueError('secret')>")
    logging.getLogger("asyncio").info("not of interest")
    (line,) = logged(lines)
    assert (line["event"], line["level"], line["logger"]) == ("Task exception was never retrieved", "error", "asyncio")


# ---- Headers and metrics


async def test_every_answer_carries_the_protective_headers(api: Api) -> None:
    for path in ("/v1/meta", "/nowhere", "/health/live", "/docs", "/openapi.json"):
        headers = (await api.client(None).get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-request-id"]


async def test_metrics_count_requests_by_template(api: Api) -> None:
    await api.client(None).get("/r/some-token")
    await api.client(None).request("BREW", "/v1/meta")
    async with client_of(operator_app(api.app)) as operator:
        answer = await operator.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert 'rewards_http_requests_total{method="GET",route="/r/{token}",status="' in answer.text
        assert 'rewards_http_requests_total{method="OTHER",route="unmatched",status="405"}' in answer.text
        assert 'rewards_http_request_duration_seconds_bucket{le="0.005",method="GET",route="/r/{token}"}' in answer.text
        assert "rewards_http_requests_in_flight 0.0" in answer.text
        assert 'rewards_ledger_waiting{queue="grants"} 0.0' in answer.text
        assert "some-token" not in answer.text
        assert (await operator.get("/health/ready")).status_code == 200
        assert (await operator.get("/v1/meta")).status_code == 404
    assert (await api.client(None).get("/metrics")).status_code == 404


# ---- Health


async def test_a_healthy_process_is_live_and_ready(api: Api) -> None:
    for path in ("/health/live", "/health/ready"):
        answer = await api.client(None).get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "warnings": []})


async def test_a_database_at_another_revision_is_not_ready(api: Api, owner: Owner) -> None:
    await owner.execute("UPDATE rewards.alembic_version SET version_num = '0000'")
    answer = await api.client(None).get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert "rewards migrate" in answer.json()["detail"]


class Wire:
    """A port that leads to the database, and can be cut."""

    def __init__(self, url: str) -> None:
        self._target = url
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The database's URL, through this port."""
        parts = urlsplit(self._target)
        login = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@127.0.0.1:{self.port}").geturl()

    async def connect(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._connections):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await connect_to(self._target)
        self._connections |= {writer, far_writer}
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._connections -= {writer, far_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def wire(database: Database) -> AsyncGenerator[Wire]:
    wire = Wire(database.application_url)
    await wire.connect()
    yield wire
    await wire.cut()


async def ready_in(client: httpx.AsyncClient, seconds: float) -> bool:
    for _ in range(int(seconds * 20)):
        if (await client.get("/health/ready")).status_code == 200:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_process_starts_without_its_database_and_works_once_it_is_there(
    wire: Wire, owner: Owner, tmp_path: Path
) -> None:
    keys = await make_keys(owner, await make_brand(owner))
    await wire.cut()
    app = create_app(Settings(database_url=wire.url, data_dir=str(tmp_path)), make_secrets())
    async with app.lifespan(), client_of(app, Authorization=f"Bearer {keys['finance']}") as client:
        assert (await client.get("/health/live")).status_code == 200
        for path in ("/health/ready", "/v1/meta"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert answer.json()["retryable"] is True
            assert answer.headers["retry-after"] == "1"
        await wire.connect()
        assert await ready_in(client, 5)
        assert (await client.get("/v1/meta")).status_code == 200


async def test_a_database_that_goes_and_comes_back_is_used_again(wire: Wire, owner: Owner, tmp_path: Path) -> None:
    keys = await make_keys(owner, await make_brand(owner))
    app = create_app(Settings(database_url=wire.url, data_dir=str(tmp_path)), make_secrets())
    async with app.lifespan(), client_of(app, Authorization=f"Bearer {keys['finance']}") as client:
        assert (await client.get("/v1/ledger/trial-balance")).status_code == 200
        await wire.cut()
        await asyncio.sleep(1.1)  # what is known of the key is forgotten after a second
        for path in ("/health/ready", "/v1/meta", "/v1/ledger/trial-balance"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), path
        await wire.connect()
        assert await ready_in(client, 5)
        assert (await client.get("/v1/ledger/trial-balance")).status_code == 200


# ---- Start-up refuses


@pytest.mark.own_database("changes its settings")
async def test_a_database_that_could_lose_commits_is_refused(database: Database, owner: Owner, tmp_path: Path) -> None:
    await owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    app = create_app(Settings(database_url=database.application_url, data_dir=str(tmp_path)), make_secrets())
    with pytest.raises(DatabaseUnsafe, match="synchronous_commit=off"):
        async with app.lifespan():
            pass


async def test_a_login_that_cannot_take_its_role_is_told_to_migrate(database: Database) -> None:
    pool = await create_pool(database.application_url, "no_such_role")
    with pytest.raises(DatabaseUnsafe, match="rewards migrate"):
        await DatabaseWatch(pool).start()
    await pool.close()


@pytest.mark.parametrize("apart", [timedelta(seconds=61), timedelta(seconds=-61)])
async def test_a_clock_too_far_apart_is_refused(owner: Owner, apart: timedelta) -> None:
    with pytest.raises(DatabaseUnsafe, match=r"6[01] s apart"):
        await refuse_unsafe(owner, lambda: datetime.now(UTC) + apart)
    await refuse_unsafe(owner, lambda: datetime.now(UTC) + apart * 0.9)
