"""The database is away, and the API is killed meanwhile: everybody is sent where she was going, and every act is paid once.

Links redirect at once. 10,000 people follow one each while PostgreSQL is stopped; in the middle the API is killed with -9 and
started again, without a database. Then PostgreSQL comes back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.cli.migrate import migrate
from service.settings import create_secrets
from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests import plain_http
from tests.api_fixtures import make_brand, make_keys
from tests.cli import running
from tests.conftest import reachable_directory
from tests.prepared_postgres import prepare

CLICKS = 10_000
CUSTOMERS = 200
DESTINATIONS = 7
CONNECTIONS = 32
POINTS = 3
WITHIN_S = 60.0
BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"


class Service:
    """A PostgreSQL and an API, each of which can be stopped and started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.postgres = EmbeddedPostgres(prepare(directory / "postgres"), small=True)
        self.postgres.start()
        create_secrets(directory / "secrets.json")
        self.environ = running.environ(directory, database_url=self.postgres.application_url)
        self.keys = asyncio.run(self._prepare())
        self.api = self._serve()

    async def _prepare(self) -> dict[str, str]:
        await migrate(self.postgres.owner_url, self.postgres.application_url)
        owner = await asyncpg.connect(self.postgres.owner_url)
        try:
            return await make_keys(owner, await make_brand(owner))
        finally:
            await owner.close()

    @property
    def port(self) -> int:
        return int(self.environ["REWARDS_PORT"])

    def call(self, key: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.keys[key]}"}
        answer = plain_http.request(method, f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers, timeout=60)
        return answer.raise_for_status().json()

    def open_campaign(self, *, channel: str, points: int, budget: int) -> None:
        """Create and fund the campaign ``autumn``, which pays for clicks in one channel."""
        now = datetime.now(UTC)
        campaign = {
            "id": "autumn",
            "name": "Autumn",
            "starts_at": (now - timedelta(days=1)).isoformat(),
            "ends_at": (now + timedelta(days=1)).isoformat(),
            "budget": budget,
            "rules": [{"action": "click", "channel": channel, "points": points, "min_evidence": "C"}],
        }
        self.call("admin", "POST", "/v1/campaigns", campaign)

    def start_api(self) -> None:
        self.api = self._serve()

    def kill_api(self) -> None:
        self.api.send_signal(signal.SIGKILL)
        self.api.wait()

    def metric(self, name: str) -> float:
        text = plain_http.get(f"http://127.0.0.1:{self.environ['REWARDS_OPERATOR_PORT']}/metrics").text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    def wait_until_settled(self) -> None:
        """Until nothing waits to be settled any more."""
        deadline = time.monotonic() + WITHIN_S
        while self.metric("rewards_spool_bytes"):
            assert time.monotonic() < deadline, "what was settled is still in the spool"
            time.sleep(0.02)

    def _serve(self) -> subprocess.Popen[bytes]:
        with (self.directory / "api.log").open("ab") as log:
            return subprocess.Popen(running.command("serve"), env=self.environ, stdout=log, stderr=log)


@pytest.fixture
def service() -> Generator[Service]:
    with reachable_directory() as directory:
        service = Service(directory)
        running.wait_ready(service.port)
        yield service
        service.api.terminate()
        assert service.api.wait(30) == 0


class Click:
    """One person who follows her link, again and again until somebody answers."""

    def __init__(self, url: str, destination: str, customer: str) -> None:
        self.path = url[url.index("/", len("http://")) :]
        self.destination = destination
        self.customer = customer
        self.answers: list[tuple[int, str | None]] = []


@pytest.mark.slow
def test_everybody_is_redirected_and_every_act_is_paid_once(service: Service) -> None:
    clicks = _minted(service)
    _wait_until_kept(service)
    service.postgres.stop()

    asyncio.run(_follow(service, clicks))
    assert Counter(click.answers[-1] == (302, click.destination) for click in clicks) == {True: CLICKS}
    assert running.get(service.port, "/health/ready").status == 503  # pyright: ignore[reportOptionalMemberAccess]
    assert service.metric("rewards_spool_refused_total") == 0

    service.postgres.start()
    owed = Counter(click.customer for click in clicks)
    paid = asyncio.run(_paid(service, CLICKS))
    assert paid == {"transfers": CLICKS, "points": POINTS * CLICKS, "events": CLICKS}
    for customer in list(owed)[:20]:
        balance = service.call("storefront", "GET", f"/v1/customers/{customer}/balance")["balance"]
        assert balance == POINTS * owed[customer]
    audit = running.run(service.environ, "audit", "--brand", "lumen")
    assert audit.returncode == 0, audit.stdout
    assert os.listdir(service.directory / "spool") == ["known"] or service.metric("rewards_spool_bytes") == 0


def _minted(service: Service) -> list[Click]:
    service.open_campaign(channel="sms", points=POINTS, budget=POINTS * CLICKS)
    now = datetime.now(UTC)
    items: list[dict[str, Any]] = [
        {
            "campaign": "autumn",
            "message_id": f"message-{n}",
            "customer": {"id": f"customer-{n % CUSTOMERS}"},
            "action": "click",
            "mode": "redirect",
            "destination": f"https://shop.example/offers/{n % DESTINATIONS}",
            "sent_at": (now - timedelta(hours=1)).isoformat(),
        }
        for n in range(CLICKS)
    ]
    clicks: list[Click] = []
    for start in range(0, CLICKS, 1_000):
        part = items[start : start + 1_000]
        results = service.call("messaging", "POST", "/v1/links", {"links": part})["results"]
        clicks += [
            Click(result["url"], item["destination"], item["customer"]["id"])
            for item, result in zip(part, results, strict=True)
        ]
    return clicks


def _wait_until_kept(service: Service) -> None:
    """Until the destinations are on the local disk."""
    deadline = time.monotonic() + WITHIN_S
    while f"/offers/{DESTINATIONS - 1}".encode() not in (service.directory / "spool" / "known").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def _follow(service: Service, clicks: list[Click]) -> None:
    """All clicks, on so many connections; when half are through, the API is killed and comes back."""
    waiting = iter(clicks)
    done = asyncio.Event()
    people = [asyncio.create_task(_people(service.port, waiting, clicks, done)) for _ in range(CONNECTIONS)]
    await asyncio.wait_for(done.wait(), WITHIN_S)
    await asyncio.to_thread(service.kill_api)
    service.start_api()
    await asyncio.gather(*people)


async def _people(port: int, waiting: Iterator[Click], clicks: list[Click], half: asyncio.Event) -> None:
    deadline = time.monotonic() + WITHIN_S
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    for click in waiting:
        if click is clicks[CLICKS // 2]:
            half.set()
        while not click.answers:
            assert time.monotonic() < deadline
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", port)
                click.answers.append(await _get(*connection, port, click.path))
            except (OSError, asyncio.IncompleteReadError):
                connection = None
                await asyncio.sleep(0.02)


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, path: str) -> tuple[int, str | None]:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {BROWSER}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
    await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split(" ")[1]), headers.get("location")


async def _paid(service: Service, wanted: int) -> dict[str, int]:
    """What was paid, once so many acts were and none is left, should more come."""
    owner = await asyncpg.connect(service.postgres.owner_url)
    try:
        deadline = time.monotonic() + WITHIN_S
        while await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb = 2") < wanted:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await asyncio.to_thread(service.wait_until_settled)
        row = await owner.fetchrow(
            """
            SELECT count(*) AS transfers, sum(amount)::bigint AS points, (SELECT count(*) FROM ledger.event) AS events
            FROM ledger.transfer WHERE verb = 2
            """
        )
        assert row is not None
        return dict(row.items())
    finally:
        await owner.close()
