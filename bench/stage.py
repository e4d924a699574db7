"""What benchmarks share: sizes, filled databases, and the processes that are measured. All of it is made when first asked for.

    Bench.station   a database with a brand, its keys, a campaign and customers; made once, kept for the next benchmark
    Bench.api       an API process on it, as ``rewards serve`` runs it
    Bench.worker    a worker process
    Bench.export    `rewards export`, and `loaded_export`, which waits until it is told to begin

Processes end with the benchmark that asked for them, and, their standard input being ours, also when we are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec

from bench.books import Population, fill
from bench.load import HOST, ask, request
from bench.server import LOADING, PRODUCTION, Server
from ledger import Book
from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.brands.actions import create_brand
from service.settings import Settings, create_secrets, load_secrets

BRAND = "bench"
CAMPAIGN = "autumn"
MONTHS = 12
"""Of a filled year. Each had a campaign of its own; ``CAMPAIGN`` is the last."""
_ROOT = Path(__file__).parents[1]
_PROGRAM = Path(sys.executable).with_name("rewards")
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0

_KEYS: Mapping[str, tuple[Scope, ...]] = {
    "messaging": (Scope.GRANTS_WRITE, Scope.LINKS_WRITE, Scope.CUSTOMERS_WRITE, Scope.CUSTOMERS_READ),
    "till": (Scope.REDEMPTIONS_WRITE, Scope.REDEMPTIONS_READ, Scope.CUSTOMERS_READ),
    "finance": (Scope.LEDGER_READ, Scope.EXPORTS_WRITE, Scope.CAMPAIGNS_READ, Scope.CAMPAIGNS_WRITE, Scope.FUNDS_WRITE),
}


class Sizes(msgspec.Struct, frozen=True):
    """How much of everything. Times are in seconds."""

    shop: Population
    """Customers of the benchmarks that write over HTTP."""
    large: Population
    """20 million transfers and 2 million customers: with twelve lots each it takes 24."""
    long: Population
    """Five million transfers, for exports."""
    year: Population
    """20 million transfers of as many customers as make closes short, for reports: they read events of those who redeem."""
    month_redemptions: int
    """What they redeem in the last month."""
    dying: Population
    """A million lots past their last day."""
    engine_customers: int
    """Customers of the engine's own books."""
    engine_turns: int
    engine_items: int
    """Grants in a turn of the ledger alone."""
    turns: int
    turn_s: float
    warm_up_s: float
    read_s: float
    links: int
    """Links that are claimed in a turn."""
    ingest_requests: int
    """Of a provider, in a turn."""
    burst_requests: int
    overload_s: float
    storm_s: float
    cycle_s: float
    """From one checkpoint to the next."""
    growth_cycles: int
    """From one checkpoint of a large book to the next."""
    growth_turns: int
    """In a cycle."""
    growth_batches: int
    """In a turn."""
    exports: int
    reads_of_all: int
    """How often the whole book is summed."""


FULL = Sizes(
    shop=Population(customers=100_000),
    large=Population(customers=2_000_000),
    long=Population(customers=104_200, grants=48),
    year=Population(customers=139_000, grants=144, events_of=20_000),
    month_redemptions=20_000,
    dying=Population(customers=250_000, dead=4),
    engine_customers=100_000,
    engine_turns=12,
    engine_items=40_000,
    turns=3,
    turn_s=5.0,
    warm_up_s=2.0,
    read_s=4.0,
    links=15_000,
    ingest_requests=204,
    burst_requests=2_004,
    overload_s=60.0,
    storm_s=30.0,
    cycle_s=80.0,
    growth_cycles=2,
    growth_turns=40,
    growth_batches=10,
    exports=1,
    reads_of_all=2,
)
QUICK = Sizes(
    shop=Population(customers=4_000),
    large=Population(customers=10_000),
    long=Population(customers=6_000, grants=48),
    year=Population(customers=1_000, grants=144, events_of=500),
    month_redemptions=500,
    dying=Population(customers=2_500, dead=4),
    engine_customers=10_000,
    engine_turns=2,
    engine_items=4_000,
    turns=2,
    turn_s=0.6,
    warm_up_s=0.3,
    read_s=0.6,
    links=800,
    ingest_requests=48,
    burst_requests=48,
    overload_s=6.0,
    storm_s=1.5,
    cycle_s=3.0,
    growth_cycles=2,
    growth_turns=3,
    growth_batches=3,
    exports=2,
    reads_of_all=1,
)


class Station(msgspec.Struct, frozen=True):
    """A database with one brand in it. ``keys`` are the texts of its API keys, by who uses them."""

    name: str
    book: Book
    campaign_no: int
    population: Population
    keys: Mapping[str, str]


class Process(msgspec.Struct, frozen=True):
    """A process of ours. ``port`` is where it answers, if it does."""

    popen: subprocess.Popen[bytes]
    port: int = 0

    def memory_mb(self, field: str = "VmRSS") -> float:
        """What the process has in memory, in MB; ``VmHWM`` is the most it ever had."""
        return memory_mb(self.popen.pid, field)


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """What a process has in memory, in MB (a million bytes), as the kernel counts it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0  # it has ended and is about to go


class Bench:
    """One run of benchmarks."""

    def __init__(self, server: Server, directory: Path, *, quick: bool) -> None:
        self.server = server
        self.quick = quick
        self.sizes = QUICK if quick else FULL
        self._directory = directory
        self._stations: dict[str, Station] = {}
        self._running = 0
        self.secrets_file = directory / "secrets.json"
        create_secrets(self.secrets_file)

    async def settings(self, profile: Mapping[str, str] = PRODUCTION) -> None:
        """Have the database server run with these settings. No process of ours may be using it."""
        if not self.server.has(profile):
            assert self._running == 0, "a process would lose its database"
            await asyncio.to_thread(self.server.restart, profile)

    @contextlib.asynccontextmanager
    async def another_server(self, name: str, profile: Mapping[str, str]) -> AsyncGenerator[Server]:
        """A database server beside the first; it is the first where that is not ours."""
        if not self.server.is_ours:
            yield self.server
            return
        directory = self._directory / name
        directory.mkdir()
        # Its user gets in.
        directory.chmod(0o711)
        another = Server(directory / "postgres")
        try:
            await asyncio.to_thread(another.start)
            await asyncio.to_thread(another.restart, profile)
            yield another
        finally:
            await asyncio.shield(asyncio.to_thread(another.stop))

    async def station(self, name: str, population: Population) -> Station:
        """The database ``name``, filled, under settings of production."""
        if name not in self._stations:
            self._stations[name] = await self._make(name, population)
        await self.settings()
        return self._stations[name]

    async def _make(self, name: str, population: Population) -> Station:
        await self.settings()
        url = await self.server.database(name)
        owner = await asyncpg.connect(url)
        try:
            brand = await create_brand(
                owner,
                code=BRAND,
                name="Bench",
                mode="live",
                points_code="PTS",
                points_name="Points",
                currency="EUR",
                time_zone="Europe/Berlin",
                destination_hosts=["shop.example"],
            )
            keys = {who: (await create_key(owner, BRAND, who, scopes, "A"))[0] for who, scopes in _KEYS.items()}
            station = Station(name, brand.book, 0, population, keys)
            async with self.api(station) as api:
                for months_ago in reversed(range(MONTHS)):
                    await _create_campaign(api.port, keys["finance"], months_ago)
            campaigns = [row[0] for row in await owner.fetch("SELECT campaign_no FROM rewards.campaign ORDER BY campaign_no")]
            principal = await owner.fetchval("SELECT api_key_id FROM rewards.api_key WHERE name = 'messaging'")
        finally:
            await owner.close()
        if not self.quick:
            await self.settings(LOADING)
        await fill(
            self.server.owner_url(name),
            brand.book,
            population,
            campaigns=campaigns,
            principal=principal,
            identity_key=load_secrets(self.secrets_file).identity_keys[-1],
        )
        return msgspec.structs.replace(station, campaign_no=campaigns[-1])

    @contextlib.asynccontextmanager
    async def api(self, station: Station, *, processes: int = 1) -> AsyncGenerator[Process]:
        """An API process, or several on one port."""
        port, operator_port = _free_ports(2)
        settings = self._settings_for(station, port=port, operator_port=operator_port)
        settings = msgspec.structs.replace(settings, processes=processes)
        async with self._process([_PROGRAM, "serve", "--with-parent"], "api", settings, port) as process:
            yield process

    @contextlib.asynccontextmanager
    async def worker(self, station: Station, api: Process | None = None) -> AsyncGenerator[Process]:
        """A worker process; it knows the links of ``api``."""
        settings = self._settings_for(station) if api is None else self._settings_for(station, port=api.port)
        async with self._process([_PROGRAM, "worker", "--with-parent"], "worker", settings) as process:
            yield process

    @contextlib.asynccontextmanager
    async def export(self, station: Station, directory: Path) -> AsyncGenerator[Process]:
        """An export of the book as CSV into ``directory``, running; it is ended if it has not by itself."""
        arguments = [_PROGRAM, "export", "--brand", BRAND, "--format", "csv", "--out", directory]
        environment = {"REWARDS_DATABASE_URL": self.server.login_url(station.name)}
        async with self._process(arguments, "export", None, environment=environment) as process:
            yield process

    @contextlib.asynccontextmanager
    async def loaded_export(self, station: Station, directory: Path, file_format: str) -> AsyncGenerator[Process]:
        """The same in one format, with all of it loaded: it begins when its standard input closes, and ends when it is done."""
        ready = directory / "ready"
        options = ["--brand", BRAND, "--format", file_format, "--out", directory]
        arguments = [sys.executable, "-m", "bench.exporting", ready, *options]
        environment = {"REWARDS_DATABASE_URL": self.server.login_url(station.name)}
        async with self._process(arguments, "export", None, environment=environment) as process:
            while not ready.exists() and process.popen.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            yield process

    def scratch(self, name: str) -> Path:
        """A directory for a benchmark's files."""
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        return directory

    def _settings_for(self, station: Station, *, port: int = 8080, operator_port: int = 0) -> Settings:
        return Settings(
            database_url=self.server.login_url(station.name),
            data_dir=str(self._directory),
            # Acts of one database are nothing to another.
            spool_dir=str(self._directory / "spool" / station.name),
            base_url=f"http://{HOST}:{port}",
            port=port,
            operator_port=operator_port,
            secrets_file=str(self.secrets_file),
        )

    @contextlib.asynccontextmanager
    async def _process(
        self,
        arguments: list[str | Path],
        name: str,
        settings: Settings | None,
        port: int = 0,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Process]:
        """Run a program of ours; what it says goes to a file, as it would in production."""
        with (self._directory / f"{name}.log").open("ab") as log:
            popen = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond, and nothing is measured yet
                [str(argument) for argument in arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=_ROOT,
                # What is measured is the code beside this, wherever the program was installed from.
                env={**os.environ, "PYTHONPATH": str(_ROOT), **(environment or {})},
                # Ctrl-C is ours to handle.
                process_group=0,
            )
        process = Process(popen, port)
        self._running += 1
        try:
            assert popen.stdin is not None
            if settings is not None:
                popen.stdin.write(msgspec.json.encode(settings) + b"\n")
                popen.stdin.flush()
            if port:
                await self._wait_until_ready(process, name)
            yield process
        finally:
            await asyncio.shield(asyncio.to_thread(_end, popen))
            self._running -= 1

    async def _wait_until_ready(self, process: Process, name: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError):
                status, _ = await ask(process.port, request("GET", "/health/ready"))
                if status == 200:
                    return
            if process.popen.poll() is not None or time.monotonic() > deadline:
                last_words = (self._directory / f"{name}.log").read_text(errors="replace")[-2_000:]
                raise RuntimeError(f"{name} does not start:\n{last_words}")
            await asyncio.sleep(0.02)


async def _create_campaign(port: int, key: str, months_ago: int) -> None:
    now = datetime.now(UTC)
    campaign = {
        "id": f"{CAMPAIGN}-{months_ago}" if months_ago else CAMPAIGN,
        "name": "Autumn",
        "starts_at": now - timedelta(days=30 * (1 + months_ago)),
        "ends_at": now + timedelta(days=30),
        "rules": [{"action": "click", "channel": "email", "points": 5}],
        "caps": [{"per": "customer", "window": "day", "max_grants": 50}],
    }
    status, body = await ask(port, request("POST", "/v1/campaigns", key=key, body=msgspec.json.encode(campaign)))
    if status != 201:
        raise RuntimeError(f"the campaign was not created: {body.decode()}")


def _end(popen: subprocess.Popen[bytes]) -> None:
    """Let a process finish what it has begun, then insist."""
    if popen.stdin is not None:
        with contextlib.suppress(OSError):
            popen.stdin.close()
    if popen.poll() is None:
        popen.terminate()
    try:
        popen.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [held.getsockname()[1] for held in sockets]
