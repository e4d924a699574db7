"""The run: a service of its own with the demo brand, the corpus sent to it, and what may not have happened meanwhile."""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.app import describe
from tests.cli import running
from tests.cli.up import Up
from tests.hostile import corpus
from tests.hostile.corpus import Route
from tests.hostile.wire import Answer, Shot, request, send
from tests.prepared_postgres import prepared_environ

AT_ONCE = 16
LIVE_WITHIN_S = 0.25
MEMORY_GROWTH_MAX = 1.10
MEMORY_SLACK_BYTES = 16 * 1024 * 1024
SEED = 1
"""What is drawn at random is the same in each run."""


class Look(msgspec.Struct, frozen=True):
    """What the watcher saw."""

    live: int
    took_s: float
    waited_s: float
    """How much of that went by before a processor was free."""
    ready: int


class Report(msgspec.Struct):
    """What came of it all."""

    requests: int = 0
    statuses: collections.Counter[int] = msgspec.field(default_factory=collections.Counter[int])
    failures: list[str] = msgspec.field(default_factory=list[str])
    """Shots that were answered with a 5xx that is not a 503 for overload, or that were whole and not answered at all."""
    refused_as_overloaded: int = 0
    looks: list[Look] = msgspec.field(default_factory=list[Look])
    memory_bytes: list[int] = msgspec.field(default_factory=list[int])
    """Of the API process: after the first pass, and after each further one."""
    audit: str = ""

    @property
    def slowest_live_s(self) -> float:
        """How long liveness took at the longest, without what it waited for a processor."""
        return max((look.took_s - look.waited_s for look in self.looks), default=0.0)

    @property
    def not_live(self) -> int:
        """How often the process did not say that it lives."""
        return sum(look.live != 200 for look in self.looks)

    @property
    def red(self) -> int:
        """How often it was not ready."""
        return sum(look.ready != 200 for look in self.looks)

    def wrong(self) -> list[str]:
        """All that may not be."""
        found = self.failures[:20]
        if self.slowest_live_s >= LIVE_WITHIN_S:
            found.append(f"/health/live took {self.slowest_live_s * 1000:.0f} ms")
        if self.not_live:
            found.append(f"/health/live failed {self.not_live} times")
        if self.red and not self.refused_as_overloaded:
            found.append(f"readiness was red {self.red} times while nothing was refused")
        if self.memory_bytes and self.memory_bytes[-1] > self.memory_bytes[0] * MEMORY_GROWTH_MAX + MEMORY_SLACK_BYTES:
            found.append(f"memory grew: {[each // 2**20 for each in self.memory_bytes]} MiB")
        if "WRONG" in self.audit or not self.audit:
            found.append(f"the audit is not clean:\n{self.audit}")
        return found

    def summary(self) -> str:
        """One paragraph for people."""
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        memory = " → ".join(f"{each // 2**20}" for each in self.memory_bytes)
        return (
            f"{self.requests:,} requests ({statuses}; 0 is none)\n"
            f"/health/live at most {self.slowest_live_s * 1000:.0f} ms over {len(self.looks):,} looks;"
            f" readiness red {self.red} times, {self.refused_as_overloaded:,} refused for overload; memory {memory} MiB"
        )


def run(directory: Path, *, minutes: float = 0.0, every: int = 1) -> Report:
    """Torment a service in ``directory``: the corpus once, then again in other orders until it is time.

    Of the shots that all routes get alike, each route gets one in ``every``, and each such shot goes to one route in as many.
    """
    # One process, of which the memory is looked at, and for how long it waits for a core.
    up = Up(prepared_environ(directory / ".rewards", processes=1))
    try:
        return _torment(up, minutes * 60, every)
    finally:
        up.stop()


def _torment(up: Up, for_s: float, every: int) -> Report:
    report = Report()
    port = int(up.environ["REWARDS_PORT"])
    chance = random.Random(SEED)
    shots = _corpus(up, chance, every)
    seen = Path(up.environ["REWARDS_DATA_DIR"]) / "looks"
    with seen.open("w") as file:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.watch", str(port), str(up.child("serve"))],
            stdin=subprocess.PIPE,
            stdout=file,
            text=True,
        )
    began = time.monotonic()
    for n in itertools.count():
        asyncio.run(_send_all(report, port, shots))
        _send_what_hypothesis_makes(report, port, SEED + n)
        report.memory_bytes.append(_memory_of(up.child("serve")))
        if n and time.monotonic() - began >= for_s:
            break
        chance.shuffle(shots)
        shots = [*shots, *corpus.noise(SEED + n + 1, 200)] if for_s else chance.sample(shots, len(shots) // 4)
    watcher.communicate("")
    assert watcher.returncode == 0, "the watcher ended before its time"
    report.looks = [msgspec.json.decode(line, type=Look) for line in seen.read_text().splitlines()]
    audit = running.run(up.environ, "audit", "--brand", "demo")
    report.audit = audit.stdout + audit.stderr if audit.returncode else audit.stdout or "ok"
    return report


def _corpus(up: Up, chance: random.Random, every: int) -> list[Shot]:
    base_url, keys = up.demo["base_url"], up.demo["keys"]
    routes = [*corpus.routes(json.loads(json.dumps(describe())), keys), *_pages(base_url, keys, up.demo["campaign"])]
    shots = [shot for n, route in enumerate(routes) for shot in corpus.of_route(route, first=n, every=every)]
    chance.shuffle(shots)
    return [*shots, *corpus.NO_HTTP, *corpus.noise(SEED, 400)]


def _pages(base_url: str, keys: dict[str, str], campaign: str) -> list[Route]:
    """The pages for people, of links and codes that are good."""
    with httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {keys['messaging']}"}) as client:
        asked: dict[str, Any] = {
            "campaign": campaign, "message_id": "hostile-1", "customer": {"id": "customer-1"},
            "action": "click", "channel": "email", "destination": f"{base_url}/demo/shop", "short": True,
        }  # fmt: skip
        minted = client.post("/v1/links", json={"links": [asked]}).json()["results"][0]
        kinds = [{"customer": {"id": "customer-1"}, "kind": kind} for kind in ("wallet", "preferences")]
        own = client.post("/v1/page-links", json={"pages": kinds}).json()["results"]
    paths = [minted["url"].removeprefix(base_url), *(each["url"].removeprefix(base_url) for each in own)]
    return corpus.pages(paths[0], paths[1:], minted["short_url"].rpartition("/")[2])


async def _send_all(report: Report, port: int, shots: Iterable[Shot]) -> None:
    waiting = iter(shots)

    async def sender() -> None:
        for shot in waiting:
            _note(report, shot, await send(port, shot))

    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))


def _note(report: Report, shot: Shot, answer: Answer) -> None:
    report.requests += 1
    report.statuses[answer.status] += 1
    # A HEAD gets no body that would say why.
    is_overload = answer.status == 503 and (b"overloaded" in answer.body or not answer.body)
    report.refused_as_overloaded += is_overload
    if (answer.status >= 500 and not is_overload) or (answer.status == 0 and answer.body and shot.is_whole):
        report.failures.append(f"{shot.name[:120]} -> {answer.status} {answer.body[:200]!r}")


_ALL_HEALTH_CHECKS: Any = list(HealthCheck)
_text = st.text(max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inside: st.lists(inside, max_size=5) | st.dictionaries(_text, inside, max_size=5),
    max_leaves=20,
)


def _send_what_hypothesis_makes(report: Report, port: int, seed: int) -> None:
    shots: list[Shot] = []

    @settings(max_examples=75, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=_ALL_HEALTH_CHECKS)
    @given(
        path=st.text(max_size=40),
        query=st.text(max_size=40),
        body=_json,
        headers=st.dictionaries(_text, _text, max_size=4),
        raw=st.binary(),
    )
    def make(path: str, query: str, body: Any, headers: dict[str, str], raw: bytes) -> None:
        target = f"/v1/{path}?{query}".replace(" ", "+").replace("\r", "").replace("\n", "")
        given_headers = [(f"X-{name}", value) for name, value in headers.items() if name.isalnum() and value.isprintable()]
        sent = json.dumps(body).encode()
        as_json = [("Content-Type", "application/json"), *given_headers]
        shots.append(Shot(f"path {path!r}", _bytes_of("GET", target, given_headers, None)))
        shots.append(Shot(f"body {sent[:60]!r}", _bytes_of("POST", "/v1/grants", as_json, sent)))
        shots.append(Shot(f"raw {raw[:60]!r}", raw, is_whole=False))

    make()
    asyncio.run(_send_all(report, port, shots[seed % 3 :]))


def _bytes_of(method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes | None) -> bytes:
    return request(method, _sendable(target), [(_sendable(name), _sendable(value)) for name, value in headers], body)


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _memory_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def told(report: Report) -> Sequence[str]:
    """What to print: the summary, and all that is wrong."""
    return [report.summary(), *report.wrong()]
