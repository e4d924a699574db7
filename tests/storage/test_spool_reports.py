"""What each machine says of its spool."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.storage.spool_watch import reports as spool_reports
from service.storage.spool_watch.reports import FORGOTTEN_AFTER, SpoolReports


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are made at once, and often."""
    monkeypatch.setattr(spool_reports, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(spool_reports, "EVERY_S", 0.01)


async def reported(owner: asyncpg.Connection[Any]) -> list[int]:
    """The files of each spool."""
    return [row["files"] for row in await owner.fetch("SELECT files FROM rewards.spool_report ORDER BY files")]


async def until(owner: asyncpg.Connection[Any], files: list[int]) -> None:
    """Wait for these reports."""
    async with asyncio.timeout(10):
        while await reported(owner) != files:  # noqa: ASYNC110 - a task has to come to it
            await asyncio.sleep(0.01)


async def test_processes_that_share_a_spool_say_the_same_of_it_as_long_as_they_run(
    application_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    one, two = (SpoolReports(application_pool, spool) for _ in range(2))
    async with one.made_now_and_then(), two.made_now_and_then():
        await until(owner, [0])
        (spool / "1.spool").write_bytes(b"a claim")
        (spool / "2.spool").write_bytes(b"")
        await until(owner, [1])
        since = await owner.fetchval("SELECT waiting_since FROM rewards.spool_report")
        waiting = await one.waiting()
        assert (waiting.files, waiting.since, waiting.silent) == (1, since, 0)
        (spool / "1.spool").unlink()
        await until(owner, [0])
        assert (await two.waiting()).since is None
    assert await reported(owner) == []


async def test_what_waits_when_a_process_is_stopped_stays_reported(
    application_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    (tmp_path / "1.spool").write_bytes(b"a claim")
    async with SpoolReports(application_pool, tmp_path).made_now_and_then():
        await until(owner, [1])
    assert await reported(owner) == [1]


async def test_a_spool_that_cannot_be_used_is_called_like_its_machine(
    application_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    (tmp_path / "spool").write_text("no directory")
    await SpoolReports(application_pool, tmp_path / "spool").report()
    assert await owner.fetchval("SELECT spool = machine FROM rewards.spool_report")


async def test_a_machine_that_is_gone_for_long_is_forgotten(
    application_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    for name in ("gone", "here"):
        await SpoolReports(application_pool, tmp_path / name).report()
    await owner.execute("UPDATE rewards.spool_report SET files = 7, reported_at = reported_at - $1::interval", FORGOTTEN_AFTER)
    async with SpoolReports(application_pool, tmp_path / "here").made_now_and_then():
        await until(owner, [0])


@pytest.mark.own_database("takes the table away for a while")
async def test_a_report_that_fails_is_made_later(
    application_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    await owner.execute("ALTER TABLE rewards.spool_report RENAME TO away")
    async with SpoolReports(application_pool, tmp_path).made_now_and_then():
        async with asyncio.timeout(10):
            while not (tmp_path / "spool-name").exists():  # noqa: ASYNC110 - a task has to come to it
                await asyncio.sleep(0.01)
        await owner.execute("ALTER TABLE rewards.away RENAME TO spool_report")
        await until(owner, [0])


async def test_a_spool_keeps_its_name_when_its_disk_is_full(application_pool: asyncpg.Pool[Any], tmp_path: Path) -> None:
    reports = SpoolReports(application_pool, tmp_path / "spool")
    name = await reports.report()
    with no_room():
        assert await reports.report() == name
        assert await SpoolReports(application_pool, tmp_path / "another").report() == socket.gethostname()
    assert [file.name for spool in ("spool", "another") for file in (tmp_path / spool).iterdir()] == ["spool-name"]


@contextlib.contextmanager
def no_room() -> Generator[None]:
    """No file can grow, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
