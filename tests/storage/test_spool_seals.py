"""Seals: a record that none of us wrote is never taken, however it got into the spool; one of before there were any, once."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from service.app import create_app
from service.link_pages.deferred_claims import DeferredClaim
from service.observability import metrics
from service.settings import Settings
from service.storage.spool import Spool
from service.storage.spool_files import REFUSED, names
from service.storage.spool_records import frame, unframe
from service.storage.spool_seals import NOTE, Seals, open_seals
from tests.api_fixtures import Api, make_secrets
from tests.conftest import Database

MIB = 1024 * 1024
OLD, NEW = b"o" * 32, b"n" * 32
OF_BEFORE = msgspec.msgpack.encode({"at": 1, "host": "acts as they were before are maps"})


def refused() -> float:
    return metrics.REGISTRY.get_sample_value("rewards_spool_refused_total", {"why": "seal"}) or 0.0


def opened(directory: Path, *keys: bytes) -> Spool:
    """A spool as a process opens it: its note is beside it."""
    seals = open_seals(keys or (NEW,), names(directory), directory.parent / NOTE)
    return Spool(directory, bytes_max=MIB, seals=seals)


async def taken(spool: Spool) -> list[bytes]:
    await spool.adopt()
    records = await spool.take(1_000)
    await spool.release(len(records))
    return records


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


async def test_what_one_process_has_sealed_the_next_takes(spool: Path) -> None:
    first = opened(spool)
    await first.append(b"act")
    assert await first.take(1) == [b"act"]
    await first.close()
    assert await taken(opened(spool)) == [b"act"]


async def test_a_file_put_there_by_hand_is_refused_and_kept_for_the_operator(spool: Path) -> None:
    opened(spool)
    before = refused()
    forged = [OF_BEFORE, Seals([b"x" * 32]).seal(OF_BEFORE), b"\x01", b"", Seals([NEW]).seal(OF_BEFORE)[:-1] + b"?"]
    (spool / "1-1.spool").write_bytes(b"".join(frame(each) for each in forged))
    assert await taken(opened(spool)) == []
    assert refused() - before == len(forged)
    assert unframe((spool / REFUSED).read_bytes(), 100, is_all=True)[0] == forged
    assert names(spool) == []


async def test_what_is_genuine_in_a_file_is_taken_and_what_is_not_is_not(spool: Path) -> None:
    opened(spool)
    seals = Seals([NEW])
    (spool / "1-1.spool").write_bytes(b"".join(map(frame, [seals.seal(b"one"), b"forged", seals.seal(b"two")])))
    following = opened(spool)
    assert await taken(following) == [b"one", b"two"]
    assert names(spool) == []
    assert following.bytes == 0


async def test_after_a_change_of_keys_what_the_old_one_sealed_is_taken(spool: Path) -> None:
    first = opened(spool, OLD)
    await first.append(b"act")
    await first.close()
    assert await taken(opened(spool, NEW, OLD)) == [b"act"]


async def test_records_of_before_are_taken_from_files_that_were_there_at_the_first_start(spool: Path) -> None:
    (spool / "1-1.spool").write_bytes(frame(OF_BEFORE))
    first = opened(spool)
    second = opened(spool)  # another process of the machine, which finds the file too
    assert await taken(first) == [OF_BEFORE]
    assert await taken(second) == []
    # A file of the same name is not the same file.
    (spool / "1-1.spool").write_bytes(frame(OF_BEFORE))
    assert await taken(first) == []
    assert await taken(opened(spool)) == []


async def test_a_file_of_before_that_an_old_process_still_holds_is_taken_when_that_ends(spool: Path) -> None:
    old = Spool(spool, bytes_max=MIB)
    await old.append(OF_BEFORE)
    new = opened(spool)
    assert await taken(new) == []
    await old.close()
    assert await taken(new) == [OF_BEFORE]


async def test_dead_letters_are_taken_again_when_they_are_renamed(spool: Path) -> None:
    first = opened(spool)
    await first.dead_letter(b"act")
    os.rename(spool / "aside", spool / "aside-1.spool")
    assert await taken(first) == [b"act"]


async def test_a_note_that_cannot_be_written_costs_nothing(spool: Path) -> None:
    (spool / "1-1.spool").write_bytes(frame(OF_BEFORE))
    (spool.parent / "blocked").write_bytes(b"")
    seals = open_seals([NEW], names(spool), spool.parent / "blocked" / NOTE)
    assert await taken(Spool(spool, bytes_max=MIB, seals=seals)) == [OF_BEFORE]


@pytest.mark.one_process("looks into its spool")
async def test_the_service_pays_nothing_for_a_forged_file(api: Api, database: Database, tmp_path: Path) -> None:
    settings = Settings(database_url=database.application_url, data_dir=str(tmp_path))
    act = DeferredClaim(datetime.now(UTC), "h", "redirect", "A", "", 9.0, code_hash=b"x" * 20)
    before = refused()
    async with create_app(settings, make_secrets()).lifespan():
        pass
    (tmp_path / "spool").mkdir(exist_ok=True)
    (tmp_path / "spool" / "1-1.spool").write_bytes(frame(msgspec.msgpack.encode(act)))
    async with create_app(settings, make_secrets()).lifespan(), asyncio.timeout(10):
        while True:
            if (tmp_path / "spool" / REFUSED).exists():
                break
            await asyncio.sleep(0.02)
    assert refused() - before == 1
    assert names(tmp_path / "spool") == []
