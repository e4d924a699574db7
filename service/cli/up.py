"""`rewards up`: the whole service on one machine, and a demo brand in it.

    embedded PostgreSQL   unless REWARDS_DATABASE_URL names another; started, or found running
    rewards serve         a child process, log in <data_dir>/api.log
    rewards worker        a child process, log in <data_dir>/worker.log

Whichever dies is started again. While PostgreSQL cannot be started, because its disk is full or for whatever reason, the others
go on, links are served, and it is tried again, every half minute in the end. Ctrl-C or SIGTERM stops all three in order. When
this process is killed, the children see their standard input close and stop too; PostgreSQL stays, and the next start finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click
import msgspec

from service import settings as settings_module
from service.cli import near_network
from service.cli.database_settings import POSTGRES_DIRECTORY, refuse_half_restored, with_embedded
from service.demo_shop import demo_file
from service.server.listening import listen
from service.settings import Settings, SettingsError
from service.storage.data_directory import alone
from service.storage.database import DatabaseAway
from service.storage.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, EmbeddedPostgresUnusable

READY_TIMEOUT_S = 60.0
POSTGRES_RETRY_MAX_S = 30.0
STOP_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.2
LOG_BYTES_MAX = 50_000_000


class UpFailed(Exception):
    """Something that was started did not stay up. The message has its last words."""


class _Child:
    """A command of ours in a process of its own, started again when it dies."""

    def __init__(self, command: str, title: str, log: Path) -> None:
        self.title = title
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments = [sys.executable, "-m", "service.cli.main", command, "--with-parent"]
        self._started_at = 0.0
        self._quick_deaths = 0

    def start(self) -> None:
        """Let it load; it waits for `give`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for us alone; we stop the children in order.
                process_group=0,
            )
        self._started_at = time.monotonic()

    def give(self, settings: Settings) -> None:
        """Tell it what it needs to begin. The owner's password is not its to know."""
        line = msgspec.json.encode(msgspec.structs.replace(settings, owner_database_url="")) + b"\n"
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(line)
                self.process.stdin.flush()

    def keep_up(self, settings: Settings) -> None:
        """Start it again if it has died; the sooner it dies, the longer it waits."""
        if self.process is None or self.process.poll() is None:
            return
        lived_s = time.monotonic() - self._started_at
        wait_s = min(0.5 * 2**self._quick_deaths, 10.0)
        if lived_s < wait_s:
            return
        self._quick_deaths = self._quick_deaths + 1 if lived_s < 20 else 0
        _say(f"{self.title} ended ({_ending(self.process.returncode)}); starting it again. Its log: {self.log}")
        self.start()
        self.give(settings)

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@click.command()
@click.option("--lan", is_flag=True, help="Serve the local network, and show the reward link as a QR code for a phone.")
def up(*, lan: bool) -> None:
    """Run everything on an embedded PostgreSQL, with a demo brand.

    On this machine alone, unless `--lan`, or REWARDS_HOST and REWARDS_BASE_URL, say otherwise.
    """
    began = time.monotonic()
    # SIGINT too: whoever starts us in the background of a shell has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    settings = msgspec.structs.replace(settings_module.load(), demo=True)
    if lan:
        settings = _for_the_network(settings)
    data = Path(settings.data_dir)
    data.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as running, contextlib.suppress(KeyboardInterrupt):
        running.enter_context(alone(data, f"It is up already, at {settings.base_url}"))
        refuse_half_restored(settings)
        _check_ports(settings)
        settings = _with_files(data, settings)
        postgres = None if settings.database_url else EmbeddedPostgres(data / POSTGRES_DIRECTORY)
        children = [_Child("serve", "The API", data / "api.log"), _Child("worker", "The worker", data / "worker.log")]
        keeper = None if postgres is None else _Keeper(postgres)
        if postgres is not None and keeper is not None:
            running.callback(postgres.stop)
            running.callback(keeper.give_up)
        running.callback(_stop, children)
        running.callback(_ignore_signals)
        # They load while the database is made ready.
        for child in children:
            child.start()
        if keeper is not None:
            settings = keeper.first_start(settings)
        if keeper is None or keeper.is_up:
            _migrate(settings, keeper)
        for child in children:
            child.give(settings)
        prepare = functools.partial(_prepare, children=children, data=data, began=began, lan=lan)
        if keeper is None or keeper.is_up:
            prepare(settings)
        _keep_up(settings, keeper, children, prepare)


class _Keeper:
    """Sees to it that the embedded PostgreSQL runs. It is started in a thread, however long that takes."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self.is_up = False
        self._give_up = threading.Event()
        self._starting: threading.Thread | None = None
        self._failures = 0
        self._next_at = 0.0
        self._said = ""

    def first_start(self, settings: Settings) -> Settings:
        """The settings with the server's addresses. Raises `EmbeddedPostgresError` where there is none and none can be made."""
        try:
            found = self.postgres.start(give_up=self._give_up)
        except EmbeddedPostgresUnusable:
            raise
        except EmbeddedPostgresError as error:
            if not self.postgres.is_made:
                raise
            self._failed(error)
        else:
            self.is_up = True
            where = f"{self.postgres.directory}, port {urlsplit(self.postgres.owner_url).port}"
            _say(f"PostgreSQL   {'found running' if found else 'started'} in {where}")
        return with_embedded(settings, self.postgres)

    def look(self) -> bool:
        """Start it again if it has ended; whether it has just come back."""
        if self._starting is not None:
            if self._starting.is_alive():
                return False
            self._starting = None
            return self.is_up
        if self.is_up and self.postgres.running():
            return False
        if self.is_up:
            _say("PostgreSQL ended; starting it again.")
            self.is_up = False
        if time.monotonic() >= self._next_at:
            self._starting = threading.Thread(target=self._start, daemon=True)
            self._starting.start()
        return False

    def give_up(self) -> None:
        """Let a start that is under way end."""
        self._give_up.set()
        if self._starting is not None:
            self._starting.join()

    def _start(self) -> None:
        try:
            self.postgres.start(give_up=self._give_up)
        except Exception as error:
            # Whatever it is: links are served, and it is tried again.
            self._failed(error)
        else:
            self.is_up = True
            self._failures = 0
            self._said = ""

    def _failed(self, error: Exception) -> None:
        wait_s = min(0.5 * 2**self._failures, POSTGRES_RETRY_MAX_S)
        self._failures += 1
        self._next_at = time.monotonic() + wait_s
        # The same is not said twice; its log's times differ, so the first line is what counts.
        said = str(error).partition("\n")[0]
        if said != self._said and not self._give_up.is_set():
            self._said = said
            _say(f"{error}\nLinks are served meanwhile, and it is tried again, every {POSTGRES_RETRY_MAX_S:.0f} s in the end.")


def _migrate(settings: Settings, keeper: _Keeper | None) -> None:
    """Migrate before anything is served; but a server that is away must not keep links from being served."""
    from service.cli.migrate import migrate  # here, so that the children need not wait until it is loaded

    try:
        asyncio.run(migrate(settings.owner_url, settings.database_url))
    except (DatabaseAway, OSError) as error:
        if keeper is None:
            raise
        keeper.is_up = False
        _say(f"PostgreSQL went away while it was migrated: {error}")


def _for_the_network(settings: Settings) -> Settings:
    """Listen on this machine's address in its network, unless the environment says where to listen, or what leads there."""
    if settings.host != Settings().host:
        return settings
    there = msgspec.structs.replace(settings, host=near_network.own_address())
    is_given = settings.base_url != settings.local_url
    return there if is_given else msgspec.structs.replace(there, base_url=there.local_url)


def _prepare(settings: Settings, *, children: list[_Child], data: Path, began: float, lan: bool) -> None:
    """Have the demo made, and say where everything is."""
    from service.demo_shop import demo_brand

    known = demo_file.read(demo_file.path_of(settings))
    keys = asyncio.run(demo_brand.ensure_keys(settings.owner_url, known.keys if known else {}))
    _wait_until_ready(settings, children[0])
    shop = f"{settings.base_url}{demo_file.SHOP_PATH}"
    if known is None or known.keys != keys or known.base_url != settings.base_url:
        demo_brand.furnish(settings.local_url, keys, shop=shop)
    link = demo_brand.fresh_link(settings.local_url, keys["messaging"], destination=shop)
    made = demo_file.Demo(settings.base_url, demo_brand.BRAND, demo_brand.CAMPAIGN, keys, link.url)
    demo_file.write(demo_file.path_of(settings), made)

    operator = f"http://{settings.operator_host}:{settings.operator_port}"
    _say(
        f"API          {settings.base_url}   ready: /health/ready   reference: /docs",
        f"Metrics      {operator}/metrics",
        f"Logs         {data / 'api.log'}, {data / 'worker.log'}",
        f"Demo         brand {made.brand}, campaign {made.campaign}; all keys are in {data / 'demo.json'}",
        f"Key          {made.keys['messaging']}   (of the messaging system)",
        f"Reward link  {made.reward_link}",
        *_for_a_phone(link.short_url, lan=lan),
        f"Up after {time.monotonic() - began:.1f} s. Ctrl-C stops everything.",
    )


def _for_a_phone(url: str, *, lan: bool) -> list[str]:
    if not lan:
        return ["On a phone   `rewards up --lan` serves this machine's network and shows the link as a QR code"]
    return [f"On a phone   in the same network: {url}", near_network.qr_code(url)]


def _keep_up(
    settings: Settings, keeper: _Keeper | None, children: list[_Child], prepare: Callable[[Settings], None]
) -> NoReturn:
    is_prepared = keeper is None or keeper.is_up
    while True:
        time.sleep(LOOK_EVERY_S)
        if keeper is not None and keeper.look():
            _say("PostgreSQL is back.")
            again = with_embedded(settings, keeper.postgres)
            if again != settings:  # its port had been taken meanwhile
                settings = again
                for child in children:
                    child.ask_to_stop()
            if not is_prepared:
                _migrate(settings, keeper)
                if keeper.is_up:  # else it went away again, and this is done when it is back
                    _attempt(prepare, settings)
                    is_prepared = True
        for child in children:
            child.keep_up(settings)


def _attempt(prepare: Callable[[Settings], None], settings: Settings) -> None:
    """What a first start makes, made late. Without it the service serves all the same."""
    try:
        prepare(settings)
    except Exception as error:
        _say(f"The demo was not made: {error}")


def _check_ports(settings: Settings) -> None:
    """Raise `SettingsError` when a port is taken, before anything is started. What was killed a moment ago may still leave."""
    deadline = time.monotonic() + 3
    while True:
        try:
            listen(settings.host, settings.port, "REWARDS_PORT").close()
            listen(settings.operator_host, settings.operator_port, "REWARDS_OPERATOR_PORT").close()
        except SettingsError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _with_files(data: Path, settings: Settings) -> Settings:
    """Make the secrets if need be, put long logs aside; the settings with paths that hold in any directory."""
    settings_module.create_secrets(settings.secrets_path)
    for name in ("api.log", "worker.log"):
        log = data / name
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.old"))
    return msgspec.structs.replace(settings, data_dir=str(data.absolute()), secrets_file=str(settings.secrets_path.absolute()))


def _wait_until_ready(settings: Settings, api: _Child) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _is_ready(settings):
        if api.process is None or api.process.poll() is not None or time.monotonic() > deadline:
            raise UpFailed(f"The API does not get ready:\n{api.last_words()}")
        time.sleep(0.02)


def _is_ready(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(urlsplit(settings.local_url).netloc, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(children: list[_Child]) -> None:
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for child in children:
        child.wait(deadline)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """A second Ctrl-C must not leave half of it running."""
    _say("Stopping ...")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _ending(status: int) -> str:
    return f"exit code {status}" if status >= 0 else signal.Signals(-status).name


def _say(*lines: str) -> None:
    # The terminal may be gone; what runs must still be stopped.
    with contextlib.suppress(OSError):
        print("\n".join(lines), flush=True)
