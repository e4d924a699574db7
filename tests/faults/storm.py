"""A storm of faults: processes are killed and stopped while clients go on, and a checker says what is lost or doubled.

    python -m tests.faults.storm --operations 20000 --faults 30        (`make faults`)

Two API processes, two workers and PostgreSQL. Clients report acts, one by one and in batches, and authorize, capture and void
redemptions; a good part of all requests is sent as several copies at the same moment, to both API processes. Each is sent again
until it is acknowledged. A fault is `kill -9` or an orderly stop of an API, a worker, PostgreSQL, or all at once; the next
comes when the service has answered again.

Checked, from what clients were told alone:

    one answer     all copies and repeats of a request name the same grant, with the same points, or the same redemption
    first once     of all answers to one request at most one says that it was not a replay
    nothing lost   asked again at the end, everything acknowledged is a replay with the first answer
    nothing more   each customer's balance is what they were acknowledged, and the trial balance balances
    the audit      is clean
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests import plain_http
from tests.cli import running
from tests.cli.up import Up
from tests.conftest import reachable_directory
from tests.prepared_postgres import prepared_environ

CUSTOMERS = 100
CLIENTS = 8
BATCH = 25
POINTS = 3
WELCOME = 1_000_000
RECOVERY_S = 120.0
NOTHING_WRONG = "nothing lost, nothing doubled, every replay the same, the audit clean"
COPIES = (1, 1, 2, 3)
"""How many copies of a request are sent at the same moment: one of these."""


class Second:
    """A second API and a second worker, which nobody but us starts again."""

    def __init__(self, up: Up) -> None:
        self._directory = Path(up.environ["REWARDS_DATA_DIR"])
        self._environ = up.environ | {
            "REWARDS_PORT": str(running.free_port()),
            "REWARDS_OPERATOR_PORT": str(running.free_port()),
            "REWARDS_BASE_URL": up.demo["base_url"],
        }
        self.url = f"http://127.0.0.1:{self._environ['REWARDS_PORT']}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start what does not run."""
        for name in ("serve", "worker"):
            process = self.processes.get(name)
            if process is not None and process.poll() is None:
                continue
            with (self._directory / f"second-{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(running.command(name), env=self._environ, stdout=log, stderr=log)

    def stop(self) -> None:
        """Stop both in order."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(60)


@dataclass
class Heard:
    """All answers to one request, or to one item of a batch: what they name, and how many were no replay."""

    answers: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    firsts: int = 0


@dataclass
class Report:
    """What a storm was, and what was wrong."""

    operations: int = 0
    copies: int = 0
    retries: int = 0
    faults: Counter[str] = field(default_factory=Counter[str])
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict[str, list[float]](list))
    wrong: list[str] = field(default_factory=list[str])
    took_s: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.operations:,} operations, {self.copies:,} copies, {self.retries:,} sent again,"
            f" {self.faults.total()} faults, in {self.took_s:.0f} s"
        ]
        for kind, count in sorted(self.faults.items()):
            slowest = max(self.recovery_s[kind], default=0.0)
            lines.append(f"  {kind:<28} {count:>3}   answered again after at most {slowest:.1f} s")
        lines += [f"WRONG: {each}" for each in self.wrong[:20]] or [NOTHING_WRONG]
        return "\n".join(lines)


class Storm:
    """Clients, faults and the checker."""

    def __init__(self, up: Up, second: Second, *, seed: int, ahead: float = math.inf) -> None:
        self._up = up
        self._ahead = ahead
        self._operations_max = math.inf
        self._second = second
        self._chance = random.Random(seed)
        self._addresses = [up.demo["base_url"], second.url]
        self._numbers = itertools.count()
        self._http = {
            key: plain_http.client(headers={"Authorization": f"Bearer {up.demo['keys'][key]}"}, timeout=30)
            for key in ("messaging", "storefront", "finance")
        }
        self.report = Report()
        self.grants: dict[str, dict[str, Any]] = {}
        self.redemptions: dict[str, tuple[str, str, dict[str, Any]]] = {}
        self.heard: defaultdict[str, Heard] = defaultdict(Heard)
        self.owed: Counter[str] = Counter()
        self._answered = asyncio.Event()
        self._is_over = False

    async def run(self, operations: int, faults: int) -> Report:
        """The whole: load under faults, calm, and the check."""
        began = time.monotonic()
        await self._grant([self._event(f"stormy-{n}", "welcome") for n in range(CUSTOMERS)])
        self._let_go_on()
        done = asyncio.gather(*(self._client(operations) for _ in range(CLIENTS)))
        # Faults come all through the load, so that none meets a service that nobody uses.
        every = operations / (faults + 1)
        while self.report.faults.total() < faults:
            due = every * (self.report.faults.total() + 1)
            while True:
                if self.report.operations >= due:
                    break
                if done.done():
                    await done  # it failed, or clients would go on
                await asyncio.sleep(0.02)
            self._let_go_on()
            await self._fault()
        self._is_over = True
        self._operations_max = math.inf
        await done
        await self._recovered(self._addresses)
        await self._check()
        for client in self._http.values():
            await client.aclose()
        self.report.took_s = time.monotonic() - began
        return self.report

    # ---- Clients

    async def _client(self, operations: int) -> None:
        while self.report.operations < operations or not self._is_over:
            if self.report.operations >= self._operations_max:
                await asyncio.sleep(0.02)
                continue
            customer = f"stormy-{next(self._numbers) % CUSTOMERS}"
            kind = self._chance.random()
            if kind < 0.5:
                await self._grant([self._event(f"stormy-{self._chance.randrange(CUSTOMERS)}", "click") for _ in range(BATCH)])
            elif kind < 0.75:
                await self._grant([self._event(customer, "click")])
            else:
                await self._redeem(customer)

    def _let_go_on(self) -> None:
        """Let clients do so many operations more; while a fault is repaired they would otherwise do thousands."""
        self._operations_max = self.report.operations + self._ahead

    def _event(self, customer: str, action: str) -> dict[str, Any]:
        ref = f"r{next(self._numbers)}"
        event = {
            "campaign": "storm",
            "message_id": f"m-{ref}",
            "customer": {"id": customer},
            "action": action,
            "channel": "email",
            "ref": ref,
        }
        self.grants[ref] = event
        return event

    async def _grant(self, events: list[dict[str, Any]]) -> None:
        """Report events until all are acknowledged."""
        left = {event["ref"]: event for event in events}
        while left:
            for results in await self._copies("messaging", "/v1/grants/batch", list(left.values())):
                for result in results["results"]:
                    if "problem" not in result:
                        self._hear(result["ref"], _said(result), replayed=result["replayed"])
                        left.pop(result["ref"], None)
                    elif not result["problem"]["retryable"]:
                        self.report.wrong.append(f"{result['ref']} was refused: {result['problem']['code']}")
                        left.pop(result["ref"], None)
        for event in events:
            self.owed[event["customer"]["id"]] += WELCOME if event["action"] == "welcome" else POINTS
        self.report.operations += len(events)

    async def _redeem(self, customer: str) -> None:
        """Authorize, and capture all, capture some, or void."""
        ref = f"o{next(self._numbers)}"
        points = self._chance.randint(1, 9)
        order = {"customer": {"id": customer}, "points": points, "order_ref": ref}
        answer = await self._step(ref, "/v1/redemptions", order)
        if answer is None:
            return
        path = f"/v1/redemptions/{answer['redemption_id']}"
        taken = self._chance.choice([points, self._chance.randint(1, points), 0])
        if taken:
            await self._step(f"{ref}-capture", f"{path}/capture", {"points": taken})
        else:
            await self._step(f"{ref}-void", f"{path}/void", {})
        self.owed[customer] -= taken
        self.report.operations += 2

    async def _step(self, ref: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        self.redemptions[ref] = (ref, path, body)
        while not (answers := await self._copies("storefront", path, body, key=ref)):
            pass
        for answer in answers:
            if "code" in answer:
                self.report.wrong.append(f"{ref} was refused: {answer['code']}")
                return None
            self._hear(ref, (answer["redemption_id"],), replayed=None)
        return answers[0]

    async def _copies(self, client: str, path: str, body: Any, key: str | None = None) -> list[dict[str, Any]]:
        """Send copies at the same moment, each to another process; what was answered, without what may be tried again."""
        count = self._chance.choice(COPIES)
        self.report.copies += count - 1
        first = self._chance.randrange(2)
        addresses = [self._addresses[(first + n) % 2] for n in range(count)]
        answers = await asyncio.gather(*(self._send(client, f"{address}{path}", body, key) for address in addresses))
        taken = [answer for answer in answers if answer is not None]
        if taken:
            self._answered.set()
        else:
            self.report.retries += 1
            await asyncio.sleep(0.1)
        return taken

    async def _send(self, client: str, url: str, body: Any, key: str | None = None) -> dict[str, Any] | None:
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            answer = await self._http[client].post(url, json=body, headers=headers)
        except httpx.TransportError:
            return None
        except AttributeError as error:
            # What anyio raises if the connection is lost at the moment at which it is made.
            if error.name != "getpeername":
                raise
            return None
        if answer.status_code >= 500 or answer.status_code == 429:
            if answer.status_code == 500:
                self.report.wrong.append(f"500 of {url}: {answer.text[:200]}")
            return None
        return answer.json()

    def _hear(self, ref: str, answer: tuple[Any, ...], *, replayed: bool | None) -> None:
        heard = self.heard[ref]
        heard.answers.add(answer)
        heard.firsts += replayed is False

    # ---- Faults

    async def _fault(self) -> None:
        kinds: dict[str, Callable[[], Awaitable[list[str]]]] = {
            "kill the API": self._killing("serve"),
            "kill the second API": self._killing_second("serve", signal.SIGKILL),
            "stop the second API": self._killing_second("serve", signal.SIGTERM),
            "kill a worker": self._killing("worker"),
            "kill the second worker": self._killing_second("worker", signal.SIGKILL),
            "kill PostgreSQL": self._killing_postgres(signal.SIGKILL),
            "stop PostgreSQL": self._killing_postgres(signal.SIGINT),
            "kill all at once": self._killing_all,
        }
        names = list(kinds)
        name = names[self.report.faults.total() % len(names)]
        began = time.monotonic()
        await self._recovered(await kinds[name]())
        self._answered.clear()
        self._let_go_on()
        await asyncio.wait_for(self._answered.wait(), RECOVERY_S)
        self.report.faults[name] += 1
        self.report.recovery_s[name].append(time.monotonic() - began)

    def _killing(self, child: str) -> Callable[[], Awaitable[list[str]]]:
        async def kill() -> list[str]:
            self._up.kill(child)
            return self._addresses[:1] if child == "serve" else []

        return kill

    def _killing_second(self, name: str, number: signal.Signals) -> Callable[[], Awaitable[list[str]]]:
        async def kill() -> list[str]:
            process = self._second.processes[name]
            process.send_signal(number)
            await asyncio.to_thread(process.wait)
            self._second.start()
            return self._addresses[1:] if name == "serve" else []

        return kill

    def _killing_postgres(self, number: signal.Signals) -> Callable[[], Awaitable[list[str]]]:
        async def kill() -> list[str]:
            await self._signal_postgres(number)
            return self._addresses

        return kill

    async def _killing_all(self) -> list[str]:
        for child in ("serve", "worker"):
            self._up.kill(child)
        await self._signal_postgres(signal.SIGKILL)
        for process in self._second.processes.values():
            process.kill()
            await asyncio.to_thread(process.wait)
        self._second.start()
        return self._addresses

    async def _signal_postgres(self, number: signal.Signals) -> None:
        """Signal the server, as soon as there is one: it may still be starting after the fault before."""
        async with asyncio.timeout(RECOVERY_S):
            while True:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._up.postmaster(), number)
                    return
                await asyncio.sleep(0.05)

    async def _recovered(self, addresses: list[str]) -> None:
        """Wait until each of these has seen the end of the fault and is ready."""
        for address in addresses:
            await asyncio.to_thread(running.wait_ready, address.rpartition(":")[2], within_s=RECOVERY_S)

    # ---- The checker

    async def _check(self) -> None:
        wrong = self.report.wrong
        for ref, heard in self.heard.items():
            if len(heard.answers) != 1:
                wrong.append(f"{ref} was answered in {len(heard.answers)} ways: {heard.answers}")
            if heard.firsts > 1:
                wrong.append(f"{ref} was no replay {heard.firsts} times")
        await self._check_replays()
        for n in range(CUSTOMERS):
            customer = f"stormy-{n}"
            answer = await self._http["storefront"].get(f"{self._addresses[n % 2]}/v1/customers/{customer}/balance")
            balance = answer.raise_for_status().json()["balance"]
            if balance != self.owed[customer]:
                wrong.append(f"{customer} has {balance} and is owed {self.owed[customer]}")
        trial_balance = (await self._http["finance"].get(f"{self._addresses[0]}/v1/ledger/trial-balance")).json()
        if trial_balance["debits"] != trial_balance["credits"]:
            wrong.append("the trial balance does not balance")
        audit = await asyncio.to_thread(running.run, self._up.environ, "audit")
        if audit.returncode:
            wrong.append(f"the audit found something:\n{audit.stdout}{audit.stderr}")

    async def _check_replays(self) -> None:
        """Ask for everything again, once more each."""
        events = list(self.grants.values())
        for start in range(0, len(events), 500):
            part = events[start : start + 500]
            answer = await self._http["messaging"].post(f"{self._addresses[start // 500 % 2]}/v1/grants/batch", json=part)
            for result in answer.raise_for_status().json()["results"]:
                if "problem" in result:
                    self.report.wrong.append(f"{result['ref']}, asked again: {result}")
                    continue
                said = _said(result)
                if self.heard[result["ref"]].answers != {said} or not result.get("replayed"):
                    self.report.wrong.append(f"{result['ref']}, asked again: {result}, was {self.heard[result['ref']].answers}")
        steps = iter(list(self.redemptions.values()))
        await asyncio.gather(*(self._check_steps(steps) for _ in range(CLIENTS)))

    async def _check_steps(self, steps: Iterator[tuple[str, str, dict[str, Any]]]) -> None:
        for ref, path, body in steps:
            answer = await self._send("storefront", f"{self._addresses[0]}{path}", body, key=ref)
            if answer is None or {(answer.get("redemption_id"),)} != self.heard[ref].answers:
                self.report.wrong.append(f"{ref}, asked again: {answer}, was {self.heard[ref].answers}")


def _said(result: dict[str, Any]) -> tuple[Any, ...]:
    """What must be the same in all answers to one report."""
    return result["grant_id"], result["points"], result["outcome"]


def storm(operations: int, faults: int, *, seed: int = 1, ahead: float = math.inf) -> Report:
    """Bring everything up in a directory of its own, let the storm go over it, and stop it.

    Clients do at most ``ahead`` operations while a fault is repaired, and as many until the next one.
    """
    with reachable_directory() as directory:
        up = Up(prepared_environ(directory / ".rewards"))
        second = Second(up)
        second.start()
        try:
            running.wait_ready(second.url.rpartition(":")[2], within_s=RECOVERY_S)
            _open_campaign(up)
            return asyncio.run(Storm(up, second, seed=seed, ahead=ahead).run(operations, faults))
        finally:
            second.stop()
            up.stop()


def _open_campaign(up: Up) -> None:
    campaign = {
        "id": "storm",
        "name": "Storm",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "budget": 1_000_000_000,
        "rules": [{"action": "click", "points": POINTS}, {"action": "welcome", "points": WELCOME}],
    }
    headers = {"Authorization": f"Bearer {up.demo['keys']['admin']}"}
    plain_http.post(f"{up.demo['base_url']}/v1/campaigns", json=campaign, headers=headers, timeout=30).raise_for_status()


def main() -> None:
    """Run a storm and print what it was; exit with 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description="Kill and restart all under load; check that nothing is lost or doubled.")
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    report = storm(given.operations, given.faults, seed=given.seed)
    sys.stdout.write(f"{report}\n")
    raise SystemExit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
