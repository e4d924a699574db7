"""`rewards up`: the whole service on one machine, and a demo brand in it.

    embedded PostgreSQL   unless REWARDS_DATABASE_URL names another; started, or found running
    rewards serve         a child process, log in <data_dir>/api.log; it serves from as many as the machine has use for
    rewards worker        a child process, log in <data_dir>/worker.log

A process that ends is restarted. While PostgreSQL cannot start, for example because its disk is full, the others keep running,
links are served, and the start is retried, in the end every half minute. Ctrl-C or SIGTERM stops all three in order. If this
process is killed, the children see their standard input close and stop; PostgreSQL stays, and the next start finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click
import msgspec

from service import settings as settings_module
from service.cli.database_settings import POSTGRES_DIRECTORY, refuse_half_restored, with_embedded
from service.cli.up import near_network
from service.cli.up.child_process import ChildProcess
from service.cli.up.postgres_keeper import PostgresKeeper
from service.cli.up.terminal import say
from service.demo_shop import demo_file
from service.server.listening import listen, when_free
from service.settings import Settings
from service.storage.data_directory import alone
from service.storage.embedded_postgres.server import EmbeddedPostgres

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.2
LOG_BYTES_MAX = 50_000_000
_PORTS_FREE_WITHIN_S = 3.0
"""What was killed a moment ago may still leave a port."""
_USEFUL_PROCESSES_MAX = 8
"""More of them would need more connections than the embedded server accepts, beside everything else."""


class UpFailed(Exception):
    """Something that was started did not stay up. The message has its last words."""


@click.command()
@click.option("--lan", is_flag=True, help="Serve the local network, and show the reward link as a QR code for a phone.")
def up(*, lan: bool) -> None:
    """Run everything on an embedded PostgreSQL, with a demo brand.

    On this machine alone, unless `--lan`, or REWARDS_HOST and REWARDS_BASE_URL, say otherwise.
    """
    began = time.monotonic()
    # SIGINT too: a shell ignores it for what it starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    settings = msgspec.structs.replace(settings_module.load(), demo=True)
    processes = settings.processes or useful_processes(len(os.sched_getaffinity(0)))
    settings = msgspec.structs.replace(settings, processes=processes)
    if lan:
        settings = _for_the_network(settings)
    data = Path(settings.data_dir)
    data.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as running, contextlib.suppress(KeyboardInterrupt):
        running.enter_context(alone(data, f"It is up already, at {settings.base_url}"))
        refuse_half_restored(settings)
        # Before anything is started.
        when_free(functools.partial(_check_ports, settings), within_s=_PORTS_FREE_WITHIN_S)
        settings = _with_files(data, settings)
        postgres = None if settings.database_url else EmbeddedPostgres(data / POSTGRES_DIRECTORY)
        children = [
            ChildProcess("serve", "The API", data / "api.log"),
            ChildProcess("worker", "The worker", data / "worker.log"),
        ]
        keeper = None if postgres is None else PostgresKeeper(postgres)
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
            child.send_settings(settings)
        prepare = functools.partial(_prepare, children=children, data=data, began=began, lan=lan)
        if keeper is None or keeper.is_up:
            prepare(settings)
        _keep_up(settings, keeper, children, prepare)


def _migrate(settings: Settings, keeper: PostgresKeeper | None) -> None:
    if keeper is not None:
        keeper.migrate(settings)
        return
    from service.cli.migrate import migrate  # here, so that the children need not wait until it is loaded

    asyncio.run(migrate(settings.owner_url, settings.database_url))


def _for_the_network(settings: Settings) -> Settings:
    """Listen on this machine's address in its network, unless the environment says where to listen, or what leads there."""
    if settings.host != Settings().host:
        return settings
    there = msgspec.structs.replace(settings, host=near_network.own_address())
    is_given = settings.base_url != settings.local_url
    return there if is_given else msgspec.structs.replace(there, base_url=there.local_url)


def _prepare(settings: Settings, *, children: list[ChildProcess], data: Path, began: float, lan: bool) -> None:
    """Have the demo made, and say where everything is."""
    from service.demo_shop import demo_brand

    known = demo_file.read(demo_file.path_of(settings))
    keys = asyncio.run(demo_brand.ensure_keys(settings.owner_url, known.keys if known else {}))
    persons = asyncio.run(demo_brand.ensure_persons(settings.owner_url))
    _wait_until_ready(settings, children[0])
    shop = f"{settings.base_url}{demo_file.SHOP_PATH}"
    if known is None or known.keys != keys or known.base_url != settings.base_url:
        demo_brand.furnish(settings.local_url, keys, shop=shop)
    link = demo_brand.fresh_link(settings.local_url, keys["messaging"], destination=shop)
    made = demo_file.Demo(settings.base_url, demo_brand.BRAND, demo_brand.CAMPAIGN, keys, link.url, persons)
    demo_file.write(demo_file.path_of(settings), made)

    say(
        f"API          {settings.base_url}   ready: /health/ready   reference: /docs{_together(settings.processes)}",
        f"Console      {settings.base_url}/console   one click signs you in as any role",
        f"Metrics      {settings.local_operator_url}/metrics",
        f"Logs         {data / 'api.log'}, {data / 'worker.log'}",
        f"Demo         brand {made.brand}, campaign {made.campaign}; all keys are in {data / 'demo.json'}",
        f"Key          {made.keys['messaging']}   (of the messaging system)",
        f"Reward link  {made.reward_link}",
        *_for_a_phone(link.short_url, lan=lan),
        f"Up after {time.monotonic() - began:.1f} s. Ctrl-C stops everything.",
    )


def _together(processes: int) -> str:
    return f"   ({processes} processes)" if processes > 1 else ""


def _for_a_phone(url: str, *, lan: bool) -> list[str]:
    if not lan:
        return ["On a phone   `rewards up --lan` serves this machine's network and shows the link as a QR code"]
    return [f"On a phone   in the same network: {url}", near_network.qr_code(url)]


def _keep_up(
    settings: Settings, keeper: PostgresKeeper | None, children: list[ChildProcess], prepare: Callable[[Settings], None]
) -> NoReturn:
    is_prepared = keeper is None or keeper.is_up
    while True:
        time.sleep(LOOK_EVERY_S)
        if keeper is not None and keeper.look():
            if not keeper.is_full:
                say("PostgreSQL is back.")
            again = with_embedded(settings, keeper.postgres)
            if again != settings:  # its port had been taken meanwhile, or its socket is gone
                settings = again
                for child in children:
                    child.terminate()
            if not is_prepared:
                keeper.migrate(settings)
                if keeper.is_up:  # else it went away again, and this is done when it is back
                    _attempt(prepare, settings)
                    is_prepared = True
        for child in children:
            child.restart_if_ended(settings)


def _attempt(prepare: Callable[[Settings], None], settings: Settings) -> None:
    """What a first start makes, made late. Without it the service serves all the same."""
    try:
        prepare(settings)
    except Exception as error:
        say(f"The demo was not made: {error}")


def _check_ports(settings: Settings) -> None:
    """Raise `SettingsError` when a port is taken."""
    listen(settings.host, settings.port, "REWARDS_PORT").close()
    listen(settings.operator_host, settings.operator_port, "REWARDS_OPERATOR_PORT").close()


def useful_processes(cores: int) -> int:
    """How many API processes a machine has use for: the database takes about as much of it as they do."""
    return min(max(cores // 2, 1), _USEFUL_PROCESSES_MAX)


def _with_files(data: Path, settings: Settings) -> Settings:
    """Make the secrets if need be, put long logs aside; the settings with paths that hold in any directory."""
    settings_module.create_secrets(settings.secrets_path)
    for name in ("api.log", "worker.log"):
        log = data / name
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.old"))
    return msgspec.structs.replace(settings, data_dir=str(data.absolute()), secrets_file=str(settings.secrets_path.absolute()))


def _wait_until_ready(settings: Settings, api: ChildProcess) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _is_ready(settings):
        if api.process is None or api.process.poll() is not None or time.monotonic() > deadline:
            raise UpFailed(f"The API did not become ready:\n{api.log_tail()}")
        time.sleep(0.02)


def _is_ready(settings: Settings) -> bool:
    """Whether all API processes are."""
    connection = http.client.HTTPConnection(urlsplit(settings.local_operator_url).netloc, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(children: list[ChildProcess]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for child in children:
        child.wait(deadline)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """A second Ctrl-C must not leave half of it running."""
    say("Stopping ...")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
