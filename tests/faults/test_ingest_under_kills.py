"""A provider reports every event three times, in any order, while everything is killed: each act is one grant, to the point.

The provider does as providers do: what is not answered with 200 it sends again. API and worker are killed twice each, the
database once. What the log of deliveries says was granted is what the book has.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from service.ingest.outcomes import unpacked
from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests import plain_http
from tests.cli import running
from tests.cli.up import Up
from tests.conftest import reachable_directory
from tests.ingest.senders import Json, SendGrid, click
from tests.prepared_postgres import prepared_environ

RECIPIENTS = 500
POINTS = {"click": 3, "open": 1}
PER_REQUEST = 25
CLIENTS = 4
WITHIN_S = 90.0
TRIES_MAX = 900


@pytest.fixture
def up() -> Generator[Up]:
    with reachable_directory() as directory:
        up = Up(prepared_environ(directory / ".rewards"))
        yield up
        up.stop()


def _kill_api(up: Up) -> None:
    up.kill("serve")


def _kill_worker(up: Up) -> None:
    up.kill("worker")


def _kill_postgres(up: Up) -> None:
    os.kill(up.postmaster(), signal.SIGKILL)


KILLS: Sequence[Callable[[Up], None]] = (_kill_worker, _kill_api, _kill_postgres, _kill_worker, _kill_api)


@pytest.mark.slow
async def test_each_act_is_one_grant_whatever_is_killed(up: Up) -> None:
    sender = SendGrid()
    url = _set_up(up, sender)
    provider = _Provider(up, sender, url)
    sending = [asyncio.create_task(provider.send()) for _ in range(CLIENTS)]
    for n, kill in enumerate(KILLS, 1):
        await provider.until_sent(n / (len(KILLS) + 1))
        kill(up)
    await asyncio.gather(*sending)
    await asyncio.to_thread(up.wait_ready)
    await _until_decided(up, provider.acknowledged)

    owner_url = EmbeddedPostgres(Path(up.environ["REWARDS_DATA_DIR"]) / "postgres").owner_url
    owner = await asyncpg.connect(owner_url)
    paid = await owner.fetch(
        "SELECT customer, sum(points), count(*) FROM ledger.event WHERE source = 'src_1' GROUP BY customer"
    )
    told = [each for row in await owner.fetch("SELECT outcomes FROM rewards.envelope_outcome") for each in unpacked(row[0])]
    stored = await owner.fetchval("SELECT count(*) FROM rewards.envelope")
    await owner.close()
    assert [tuple(row)[1:] for row in paid] == [(sum(POINTS.values()), len(POINTS))] * RECIPIENTS
    assert stored >= provider.acknowledged
    assert {each.outcome for each in told} == {"granted", "duplicate"}
    granted = [each for each in told if each.outcome == "granted"]
    assert len(granted) == len({each.grant for each in granted}) == RECIPIENTS * len(POINTS)
    assert sum(each.points for each in told) == RECIPIENTS * sum(POINTS.values())
    audit = await asyncio.to_thread(running.run, up.environ, "audit", "--brand", "demo")
    assert audit.returncode == 0, audit.stdout


def _set_up(up: Up, sender: SendGrid) -> str:
    keys, base_url = up.demo["keys"], up.demo["base_url"]
    campaign = {
        "id": "spring",
        "name": "Spring",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "budget": 10_000,
        "rules": [{"action": action, "points": points, "min_evidence": "D"} for action, points in POINTS.items()],
    }
    admin, messaging = ({"Authorization": f"Bearer {keys[name]}"} for name in ("admin", "messaging"))
    plain_http.post(f"{base_url}/v1/campaigns", json=campaign, headers=admin).raise_for_status()
    source = {"provider": "sendgrid", "name": "newsletter", "secrets": sender.secrets, "campaign": "spring"}
    made = plain_http.post(f"{base_url}/v1/sources", json=source, headers=messaging)
    return made.raise_for_status().json()["ingest_url"]


class _Provider:
    """Sends every event three times, in any order, in requests of some."""

    def __init__(self, up: Up, sender: SendGrid, url: str) -> None:
        self._sender, self._url = sender, url
        chance, at = random.Random(15), int(time.time())
        events: list[Json] = [
            click(f"r{n}@example.org", "m-1", at=at, event=event)
            for n in range(RECIPIENTS)
            for event in POINTS
            for _ in range(3)
        ]
        chance.shuffle(events)
        self._waiting = [events[start : start + PER_REQUEST] for start in range(0, len(events), PER_REQUEST)]
        self._requests = len(self._waiting)
        self._sent = asyncio.Event()
        self.acknowledged = 0

    async def send(self) -> None:
        """Send requests until none is left; what is not taken is sent again."""
        async with plain_http.client(timeout=10) as client:
            while self._waiting:
                events = self._waiting.pop()
                tries = 0
                while not await self._is_taken(client, events):
                    tries += 1
                    assert tries < TRIES_MAX
                    await asyncio.sleep(0.1)
                self.acknowledged += 1
                self._sent.set()

    async def _is_taken(self, client: httpx.AsyncClient, events: list[Json]) -> bool:
        body, headers = self._sender.signed(events)
        try:
            answer = await client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def until_sent(self, share: float) -> None:
        """Wait until so much of all is acknowledged."""
        async with asyncio.timeout(WITHIN_S):
            while self.acknowledged < share * self._requests:
                self._sent.clear()
                await self._sent.wait()


async def _until_decided(up: Up, requests: int) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {up.demo['keys']['messaging']}"}
    deadline = time.monotonic() + WITHIN_S
    async with plain_http.client(headers=headers) as client:
        while True:
            shown = (await client.get(f"{up.demo['base_url']}/v1/sources/src_1")).json()
            page = (await client.get(f"{up.demo['base_url']}/v1/sources/src_1/deliveries?limit=1")).json()
            if shown["waiting"] == 0 and page["items"][0]["delivery"] >= requests:
                return
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
