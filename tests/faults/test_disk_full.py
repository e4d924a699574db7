"""A disk is full: links go on being served, all comes back when there is room again, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from service.settings import write_private
from service.storage.embedded_postgres.errors import EmbeddedPostgresError
from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests import plain_http
from tests.cli import running
from tests.cli.up import Up
from tests.conftest import reachable_directory
from tests.faults.small_disk import MIB, SmallDisk, small_disk

WITHIN_S = 90.0
BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"


@pytest.fixture
def directory() -> Generator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def disk(directory: Path) -> Generator[SmallDisk]:
    with small_disk(directory / "data", 400 * MIB) as disk:
        yield disk
        for state in disk.path.rglob("server.json"):
            EmbeddedPostgres(state.parent).stop()


def test_a_full_disk_is_named_and_room_is_all_it_takes(disk: SmallDisk) -> None:
    postgres = EmbeddedPostgres(disk.path / "postgres", small=True)
    postgres.start()
    postgres.stop()
    disk.fill()
    with pytest.raises(
        EmbeddedPostgresError, match=rf"^No space left on device: {disk.path}/postgres \(0 of 400 MiB are free\)"
    ):
        postgres.start()
    disk.make_room()
    assert postgres.start() is False
    postgres.stop()


async def test_the_logs_of_the_server_fit_a_small_disk(disk: SmallDisk) -> None:
    postgres = EmbeddedPostgres(disk.path / "postgres")
    await asyncio.to_thread(postgres.start)
    connection = await asyncpg.connect(postgres.owner_url)
    for name in ("max_wal_size", "max_slot_wal_keep_size"):
        assert await connection.fetchval("SELECT setting::bigint FROM pg_settings WHERE name = $1", name) <= 64, name
    await connection.close()
    await asyncio.to_thread(postgres.stop)


def test_what_a_full_disk_takes_half_of_is_not_taken_for_written(disk: SmallDisk) -> None:
    disk.leave(4096)
    write_private(disk.path / "short", b"x" * 1000)
    with pytest.raises(OSError, match="No space left"):
        write_private(disk.path / "long", b"x" * MIB)


@pytest.mark.slow
@pytest.mark.parametrize("is_the_spool_on_it", [False, True], ids=["the spool elsewhere", "the spool on it too"])
def test_links_are_served_and_all_comes_back(disk: SmallDisk, directory: Path, is_the_spool_on_it: bool) -> None:
    spool = disk.path / "spool" if is_the_spool_on_it else directory / "spool"
    up = Up(running.environ(disk.path, spool_dir=spool))
    paid = [_grant(up.demo, f"before-{n}") for n in range(5)]
    link = _redirecting_link(up.demo)
    _wait_until_kept(spool)
    children = up.child("serve"), up.child("worker")
    assert running.get(up.environ["REWARDS_PORT"], "/health/ready").status == 200  # pyright: ignore[reportOptionalMemberAccess]

    disk.fill()
    os.kill(up.postmaster(), signal.SIGKILL)
    up.hear("No space left on device")
    assert "MiB are free" in up.said[-1]
    disk.fill()  # a little was freed by what ended
    for path, status in (("/health/ready", 503), ("/health/live", 200)):
        assert running.get(up.environ["REWARDS_PORT"], path).status == status  # pyright: ignore[reportOptionalMemberAccess]
    answer = plain_http.get(link, headers={"User-Agent": BROWSER})
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/offers")
    refused = _post_grant(up.demo, "meanwhile")
    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert "nearly full" in plain_http.get(f"{up.demo['base_url']}/health/ready").json()["detail"]
    metrics = plain_http.get(f"http://127.0.0.1:{up.environ['REWARDS_OPERATOR_PORT']}/metrics").text
    assert float(re.findall(r'^rewards_disk_free_bytes{directory="data"} (\S+)$', metrics, re.MULTILINE)[0]) < 16 * MIB
    assert ('rewards_spool_refused_total{why="disk"} 1.0' in metrics) is is_the_spool_on_it

    disk.make_room()
    up.hear("PostgreSQL is back")
    up.wait_ready()
    assert (up.child("serve"), up.child("worker")) == children, "neither had to be started again"
    for n, each in enumerate(paid):
        again = _grant(up.demo, f"before-{n}")
        assert (again["replayed"], again["points"]) == (True, each["points"])
    deadline = time.monotonic() + WITHIN_S
    while _balance(up.demo, "clicker") == 0:
        assert time.monotonic() < deadline, "the act that was done meanwhile is not paid"
        time.sleep(0.02)
    audit = running.run(up.environ, "audit")
    assert audit.returncode == 0, audit.stdout
    up.stop()


@pytest.mark.slow
def test_it_starts_on_a_full_disk_and_serves_links_until_there_is_room(disk: SmallDisk, directory: Path) -> None:
    spool = directory / "spool"
    environ = running.environ(disk.path, spool_dir=spool)
    up = Up(environ)
    link = _redirecting_link(up.demo)
    _wait_until_kept(spool)
    up.stop()
    disk.fill()
    process = running.start(environ, "up")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("No space left on device")
    deadline = time.monotonic() + WITHIN_S
    while (answer := _try(link)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert answer.status_code == 302
    disk.make_room()
    for line in process.stdout:
        if line.startswith("Up after"):
            break
    assert running.get(environ["REWARDS_PORT"], "/health/ready").status == 200  # pyright: ignore[reportOptionalMemberAccess]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def _try(link: str) -> httpx.Response | None:
    try:
        return plain_http.get(link, headers={"User-Agent": BROWSER})
    except httpx.TransportError:
        return None


def _wait_until_kept(spool: Path) -> None:
    """Until the link's destination is on the local disk."""
    deadline = time.monotonic() + WITHIN_S
    while not (spool / "known").exists() or b"https://shop.example/offers" not in (spool / "known").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _headers(demo: dict[str, Any], key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {demo['keys'][key]}"}


def _post_grant(demo: dict[str, Any], message_id: str) -> httpx.Response:
    event = {
        "campaign": demo["campaign"],
        "message_id": message_id,
        "customer": {"id": "customer-7"},
        "action": "click",
        "channel": "email",
    }
    return plain_http.post(f"{demo['base_url']}/v1/grants", headers=_headers(demo, "messaging"), json=event, timeout=30)


def _grant(demo: dict[str, Any], message_id: str) -> dict[str, Any]:
    answer = _post_grant(demo, message_id)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def _balance(demo: dict[str, Any], customer: str) -> int:
    url = f"{demo['base_url']}/v1/customers/{customer}/balance"
    return plain_http.get(url, headers=_headers(demo, "storefront"), timeout=30).raise_for_status().json()["balance"]


def _redirecting_link(demo: dict[str, Any]) -> str:
    link = {
        "campaign": demo["campaign"],
        "message_id": "offer",
        "customer": {"id": "clicker"},
        "action": "click",
        "mode": "redirect",
        "destination": "https://shop.example/offers",
        "sent_at": "2026-11-29T00:00:00Z",
    }
    answer = plain_http.post(
        f"{demo['base_url']}/v1/links", headers=_headers(demo, "messaging"), json={"links": [link]}, timeout=30
    )
    return answer.raise_for_status().json()["results"][0]["url"]
