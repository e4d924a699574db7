"""kill -9 under load: what was acknowledged is there afterwards, once.

Two API processes on one port, another elsewhere, and two workers share one database.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest

from tests import plain_http
from tests.cli import running
from tests.cli.up import Up, children, second_of_each
from tests.conftest import reachable_directory
from tests.prepared_postgres import prepared_environ

CLIENTS = 4
PER_BATCH = 25
LOAD = 1_000
"""So many more are acknowledged before the kill, and after it."""
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def up() -> Generator[Up]:
    with reachable_directory() as directory:
        up = Up(prepared_environ(directory / ".rewards", processes=2))
        yield up
        up.stop()


@pytest.fixture(scope="module")
def second(up: Up) -> Generator[str]:
    with second_of_each(up) as second:
        yield second


def _kill_api(up: Up) -> None:
    up.kill("serve")


def _kill_one_process(up: Up) -> None:
    os.kill(min(children(up.child("serve"))), signal.SIGKILL)


def _kill_postgres(up: Up) -> None:
    os.kill(up.postmaster(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [_kill_api, _kill_one_process, _kill_postgres])
async def test_what_was_acknowledged_before_a_kill_is_there_once_after_it(
    up: Up, second: str, kill: Callable[[Up], None]
) -> None:
    load = _Load(up, second, kill.__name__.strip("_"))
    clients = [asyncio.create_task(load.send(client)) for client in range(CLIENTS)]
    await load.goes_on()
    kill(up)
    await load.goes_on()
    load.stop = True
    await asyncio.gather(*clients)
    await asyncio.to_thread(up.wait_ready)

    assert kill is not _kill_api or load.failed_batches > 0, "the end of all that serve a port must have been felt"
    # Sent again, everything acknowledged is a replay; what was not acknowledged is decided now, once.
    again = await load.send_all_again()
    lost = [ref for ref in load.acknowledged if not again[ref]["replayed"]]
    assert lost == []
    assert [ref for ref, points in load.acknowledged.items() if again[ref]["points"] != points] == []
    balance = await load.balance()
    assert balance == load.points_owed
    audit = await asyncio.to_thread(running.run, up.environ, "audit", "--brand", "demo")
    assert audit.returncode == 0, audit.stdout


class _Load:
    """Clicks of one customer, each on a message of its own, in small batches; an unanswered batch is not sent again."""

    def __init__(self, up: Up, second: str, name: str) -> None:
        demo = up.demo
        self.stop = False
        self.acknowledged: dict[str, int] = {}
        self.went_on = asyncio.Event()
        self.failed_batches = 0
        self._addresses = itertools.cycle([demo["base_url"], second])
        self._campaign = name.replace("_", "-")
        self._customer = f"loaded-{name}"
        self._messaging = {"Authorization": f"Bearer {demo['keys']['messaging']}"}
        self._storefront = {"Authorization": f"Bearer {demo['keys']['storefront']}"}
        self._sent: dict[str, dict[str, Any]] = {}
        campaign = {
            "id": self._campaign,
            "name": "Load",
            "starts_at": "2026-01-01T00:00:00Z",
            "ends_at": "2099-01-01T00:00:00Z",
            "budget": 10_000_000,
            "rules": [{"action": "click", "points": 3}],
        }
        admin = {"Authorization": f"Bearer {demo['keys']['admin']}"}
        plain_http.post(f"{second}/v1/campaigns", json=campaign, headers=admin).raise_for_status()

    @property
    def points_owed(self) -> int:
        return 3 * len(self._sent)

    async def goes_on(self) -> None:
        """Wait until as much more is acknowledged."""
        wanted = len(self.acknowledged) + LOAD
        async with asyncio.timeout(WITHIN_S):
            while len(self.acknowledged) < wanted:
                self.went_on.clear()
                await self.went_on.wait()

    async def send(self, client: int) -> None:
        """Send batch after batch until told to stop."""
        batch = 0
        while not self.stop:
            batch += 1
            items = [self._click(f"{client}-{batch}-{n}") for n in range(PER_BATCH)]
            results = await self._post(items)
            if results is None:
                self.failed_batches += 1
                await asyncio.sleep(0.1)
                continue
            for result in results:
                if "problem" in result:
                    self.failed_batches += 1
                    continue
                self.acknowledged[result["ref"]] = result["points"]
                self.went_on.set()

    async def send_all_again(self) -> dict[str, dict[str, Any]]:
        items = list(self._sent.values())
        answers: dict[str, dict[str, Any]] = {}
        for start in range(0, len(items), 1_000):
            results = await self._post(items[start : start + 1_000])
            assert results is not None
            answers |= {result["ref"]: result for result in results}
        return answers

    async def balance(self) -> int:
        async with plain_http.client(base_url=next(self._addresses), headers=self._storefront, timeout=30) as client:
            return (await client.get(f"/v1/customers/{self._customer}/balance")).json()["balance"]

    def _click(self, ref: str) -> dict[str, Any]:
        item = {
            "campaign": self._campaign,
            "message_id": f"m-{ref}",
            "customer": {"id": self._customer},
            "action": "click",
            "channel": "email",
            "ref": ref,
        }
        self._sent[ref] = item
        return item

    async def _post(self, items: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """The results, or ``None`` when there was no answer or a refusal of the whole."""
        try:
            async with plain_http.client(base_url=next(self._addresses), headers=self._messaging, timeout=30) as client:
                answer = await client.post("/v1/grants/batch", json=items)
        except httpx.TransportError:
            return None
        return answer.json()["results"] if answer.status_code == 200 else None
