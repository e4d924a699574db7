"""`rewards up`, which `make run` calls: all runs after one command, comes back when it dies, and stops in order."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from service.cli.up import near_network
from service.cli.up.command import useful_processes
from service.settings import SettingsError
from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests import plain_http
from tests.cli import running
from tests.cli.up import Environ, Up, children
from tests.conftest import reachable_directory
from tests.prepared_postgres import prepare

SECOND_START_S = 8
"""What the second start may take, with all that it starts."""


@pytest.fixture
def environ() -> Generator[Environ]:
    with reachable_directory() as directory:
        yield running.environ(directory / ".rewards")


@pytest.fixture
def prepared(environ: Environ) -> Environ:
    """The first start is behind it as far as PostgreSQL is concerned."""
    prepare(Path(environ["REWARDS_DATA_DIR"]) / "postgres")
    return environ


def test_one_command_and_everything_runs(environ: Environ) -> None:
    up = Up(environ)
    demo = up.demo
    demo_file = Path(environ["REWARDS_DATA_DIR"]) / "demo.json"
    assert demo_file.stat().st_mode & 0o777 == 0o600
    assert set(demo) == {"base_url", "brand", "campaign", "keys", "persons", "reward_link"}
    assert set(demo["keys"]) == {"admin", "messaging", "storefront", "finance", "care", "approver"}
    assert demo["base_url"] == f"http://127.0.0.1:{environ['REWARDS_PORT']}"
    shown = "".join(up.said)
    for told in (demo["base_url"], demo["keys"]["messaging"], demo["reward_link"], environ["REWARDS_OPERATOR_PORT"]):
        assert told in shown

    processes = useful_processes(len(os.sched_getaffinity(0)))
    # Beside those that serve, one answers the operator.
    assert len(children(up.child("serve"))) == (processes + 1 if processes > 1 else 0)

    assert asyncio.run(_connected(environ)) == {("rewards_application", None), ("rewards_worker", None)}

    page = plain_http.get(demo["reward_link"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")

    second = running.run(environ, "up")
    assert second.returncode == 1
    assert second.stderr.startswith(f"Error: It is up already, at {demo['base_url']}")
    up.stop(signal.SIGINT)

    # Processor time, because other tests share the machine; a child's counts once it has been waited for.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = Up(environ)
    assert again.demo["keys"] == demo["keys"]
    again.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECOND_START_S


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (64, 8)])
def test_half_of_the_cores_are_the_databases(cores: int, processes: int) -> None:
    assert useful_processes(cores) == processes


def test_a_phone_in_the_same_network_is_let_in_when_asked(prepared: Environ) -> None:
    try:
        address = near_network.own_address()
    except SettingsError:
        refused = running.run(prepared, "up", "--lan")
        assert (refused.returncode, refused.stderr.count("\n"), "REWARDS_HOST" in refused.stderr) == (1, 1, True)
        return
    up = Up(prepared, "--lan")
    assert up.demo["base_url"] == f"http://{address}:{prepared['REWARDS_PORT']}"
    told = next(line for line in up.said if line.startswith("On a phone"))
    link = told.split()[-1]
    assert link.startswith(up.demo["base_url"])
    assert near_network.qr_code(link) in "".join(up.said)
    claimed = plain_http.post(link, data={}, headers={"Origin": up.demo["base_url"]})
    assert claimed.status_code in {200, 303}
    shop = plain_http.get(f"{up.demo['base_url']}/demo/link", follow_redirects=True)
    assert shop.status_code == 200
    assert f"{up.demo['base_url']}/demo/shop" in shop.text
    with pytest.raises(httpx.ConnectError):
        plain_http.get(f"http://127.0.0.1:{prepared['REWARDS_PORT']}/health/live")
    up.stop()


def test_what_dies_comes_back_and_nothing_acknowledged_is_lost(prepared: Environ) -> None:
    up = Up(prepared)
    paid = [_grant(up.demo, "before")]

    up.kill("serve")
    up.hear("The API ended (SIGKILL)")
    up.wait_ready()
    paid.append(_grant(up.demo, "after the API"))

    os.kill(up.postmaster(), signal.SIGKILL)
    up.hear("PostgreSQL ended")
    up.wait_ready()
    paid.append(_grant(up.demo, "after PostgreSQL"))

    up.kill("worker")
    up.hear("The worker ended (SIGKILL)")

    # Killed itself, it leaves PostgreSQL behind; the next one finds it.
    up.process.kill()
    up.process.wait()
    again = Up(prepared)
    assert any(line.startswith("PostgreSQL   found running") for line in again.said)
    for message in ("before", "after the API", "after PostgreSQL"):
        assert _grant(again.demo, message)["replayed"] is True
    assert _grant(again.demo, "last")["balance"] == sum(grant["points"] for grant in paid) + 100
    again.stop()


async def _connected(environ: Environ) -> set[tuple[str, str | None]]:
    """As what the service's processes are connected, and from which address; over a Unix socket it is from none."""
    owner = await asyncpg.connect(EmbeddedPostgres(Path(environ["REWARDS_DATA_DIR"]) / "postgres").owner_url)
    connected = await owner.fetch(
        "SELECT application_name, host(client_addr) FROM pg_stat_activity WHERE usename = 'rewards' AND datname IS NOT NULL"
    )
    await owner.close()
    return {tuple(row) for row in connected}


def _grant(demo: dict[str, Any], message_id: str) -> dict[str, Any]:
    answer = plain_http.post(
        f"{demo['base_url']}/v1/grants",
        headers={"Authorization": f"Bearer {demo['keys']['messaging']}"},
        json={
            "campaign": demo["campaign"],
            "message_id": message_id,
            "customer": {"id": "customer-7"},
            "action": "reply",
            "channel": "sms",
        },
        timeout=30,
    )
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


@pytest.mark.parametrize("variable", ["REWARDS_PORT", "REWARDS_OPERATOR_PORT"])
def test_a_taken_port_is_named_before_anything_starts(environ: Environ, variable: str) -> None:
    with socket.create_server(("127.0.0.1", int(environ[variable]))):
        finished = running.run(environ, "up")
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"Error: Cannot listen on 127.0.0.1 port {environ[variable]}")
    assert variable in finished.stderr
    assert not (Path(environ["REWARDS_DATA_DIR"]) / "postgres").exists()


def test_a_wrong_setting_is_one_sentence(environ: Environ) -> None:
    finished = running.run({**environ, "REWARDS_PORT": "eighty"}, "up")
    assert (finished.returncode, finished.stderr.count("\n")) == (1, 1)
    assert "REWARDS_PORT" in finished.stderr


def test_ctrl_c_in_the_middle_of_the_start_leaves_nothing_running(environ: Environ) -> None:
    process = running.start(environ, "up")
    data = Path(environ["REWARDS_DATA_DIR"])
    while not (data / "postgres" / "data.new").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0, said
    held = subprocess.run(["/usr/bin/flock", "-n", data / "postgres" / "running", "true"], check=False)
    assert held.returncode == 0
