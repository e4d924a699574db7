"""The spool: what was appended is taken again, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.observability import metrics
from service.storage.spool import Spool, SpoolFull, SpoolRefused
from service.storage.spool_records import RECORD_BYTES_MAX, frame, unframe

MIB = 1024 * 1024


def records(count: int, begin: str = "act") -> list[bytes]:
    return [f"{begin} {n}".encode() for n in range(count)]


def opened(directory: Path, *, bytes_max: int = MIB, segment_bytes: int = MIB) -> Spool:
    return Spool(directory, bytes_max=bytes_max, segment_bytes=segment_bytes)


async def append(spool: Spool, *appended: bytes) -> None:
    await asyncio.gather(*(spool.append(each) for each in appended))


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def count(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_what_is_appended_is_taken_in_its_order_and_gone_when_released(tmp_path: Path) -> None:
    spool = opened(tmp_path / "new" / "spool")
    await append(spool, *records(100))
    assert await spool.take(60) == records(100)[:60]
    assert await spool.take(60) == records(100)[60:]
    assert await spool.take(60) == []
    await spool.release(99)
    assert spool.bytes > 0
    await spool.release(1)
    assert spool.bytes == 0
    await append(spool, b"after")
    assert await spool.take(10) == [b"after"]
    await spool.release(1)
    await spool.close()
    assert files(tmp_path / "new" / "spool") == []


async def test_many_that_wait_together_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = os.write

    def counted(file: int, data: bytes) -> int:
        written.append(len(data))
        return write(file, data)

    monkeypatch.setattr(os, "write", counted)
    spool = opened(tmp_path)
    await append(spool, *records(500))
    assert len(written) <= 2
    assert len(await spool.take(1_000)) == 500
    await spool.close()


async def test_it_is_bounded_and_says_so(tmp_path: Path) -> None:
    before = count("rewards_spool_refused_total", why="full")
    spool = opened(tmp_path, bytes_max=1_000)
    await append(spool, *[bytes(50)] * 8)
    with pytest.raises(SpoolFull):
        await spool.append(bytes(50), share=0.5)
    await append(spool, *[bytes(50)] * 8)
    with pytest.raises(SpoolFull):
        await spool.append(bytes(50))
    assert count("rewards_spool_refused_total", why="full") == before + 2
    assert count("rewards_spool_bytes") == spool.bytes <= 1_000
    assert len(await spool.take(100)) == 16
    await spool.release(16)
    await spool.append(bytes(50))
    await spool.close()


async def test_files_are_removed_as_what_they_hold_is_released(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=200)
    for each in records(40):
        await spool.append(each)
    many = len(files(tmp_path))
    assert many > 3
    assert await spool.take(40) == records(40)
    await spool.release(20)
    assert 1 < len(files(tmp_path)) < many
    await spool.release(20)
    assert len(files(tmp_path)) == 1
    await spool.close()
    assert files(tmp_path) == []


async def test_what_was_not_released_is_taken_again_by_the_next(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    await append(spool, *records(10))
    await spool.take(7)
    await spool.release(3)
    await spool.close()
    following = opened(tmp_path)
    await following.append(b"mine")
    assert await following.adopt() == 1
    # All of the file again: a record may be taken twice, and none is left out.
    assert await following.take(100) == [*records(10), b"mine"]
    await following.release(11)
    await following.close()
    assert files(tmp_path) == []


async def test_nobody_adopts_what_another_has(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    await one.append(b"one")
    await other.append(b"other")
    assert (await one.adopt(), await other.adopt()) == (0, 0)
    await one.close()
    adopters = [other, *(opened(tmp_path) for _ in range(4))]
    assert sum(await asyncio.gather(*(each.adopt() for each in adopters))) == 1
    for each in adopters:
        await each.close()


_APPENDS_UNTIL_IT_IS_KILLED = """
import asyncio, itertools, os, sys
from pathlib import Path
from service.storage.spool import Spool

async def main():
    spool = Spool(Path(sys.argv[1]), bytes_max=10**9, segment_bytes=20_000)
    numbers = itertools.count()
    async def client():
        for number in numbers:
            await spool.append(b"act %d" % number)
            os.write(1, b"%d\\n" % number)
    await asyncio.gather(*(client() for _ in range(32)))

asyncio.run(main())
"""


def _acknowledged_before_a_kill(directory: Path) -> list[bytes]:
    process = subprocess.Popen([sys.executable, "-c", _APPENDS_UNTIL_IT_IS_KILLED, directory], stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(3_000)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait()
    return [line.strip() for line in said if line.endswith(b"\n")]


async def test_after_kill_9_everything_acknowledged_is_there(tmp_path: Path) -> None:
    acknowledged = _acknowledged_before_a_kill(tmp_path)
    spool = opened(tmp_path)
    assert await spool.adopt() > 1
    there = set(await spool.take(1_000_000))
    assert {b"act " + number for number in acknowledged} <= there
    await spool.close()


async def test_a_torn_end_costs_what_was_torn(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    await append(spool, *records(10))
    await spool.close()
    [file] = files(tmp_path)
    whole = file.read_bytes()
    for kept in range(len(whole)):
        file.write_bytes(whole[:kept])
        following = opened(tmp_path)
        await following.adopt()
        assert await following.take(100) == records(10)[: kept // len(frame(b"act 0"))]
        # Nothing is released, so the file stays for the next round; what holds no record is removed.
        await following.close()


async def test_damage_costs_what_was_damaged_and_is_counted(tmp_path: Path) -> None:
    random_ = random.Random(7)
    whole = b"".join(frame(each) for each in records(60))
    for _ in range(300):
        damaged = bytearray(whole)
        at = random_.randrange(len(damaged))
        for each in range(at, min(at + random_.randrange(1, 40), len(damaged))):
            damaged[each] = random_.randrange(256)
        if bytes(damaged) == whole:
            continue
        found, consumed, skipped = unframe(bytes(damaged), 1_000, is_all=True)
        assert consumed == len(damaged)
        assert len(found) >= 60 - 4
        assert set(found) <= set(records(60))
        assert skipped == len(damaged) - sum(len(frame(each)) for each in found) > 0
    (tmp_path / "0-0.spool").write_bytes(b"junk" + whole)
    before = count("rewards_spool_damaged_bytes_total")
    spool = opened(tmp_path)
    await spool.adopt()
    assert await spool.take(100) == records(60)
    assert count("rewards_spool_damaged_bytes_total") == before + 4
    await spool.close()


@pytest.mark.parametrize("chunk", [1, 2, 7, 30])
def test_records_are_found_however_they_are_cut(chunk: int) -> None:
    sizes = [0, 1, 10, RECORD_BYTES_MAX]
    appended = [bytes([n % 251]) * sizes[n % 4] for n in range(12)]
    whole = b"".join(frame(each) for each in appended)
    found: list[bytes] = []
    at = 0
    while at < len(whole):
        data = whole[at : at + RECORD_BYTES_MAX + 100]
        some, consumed, damaged = unframe(data, chunk, is_all=at + len(data) == len(whole))
        assert damaged == 0
        assert consumed > 0
        found += some
        at += consumed
    assert found == appended


async def test_a_disk_that_refuses_is_said_and_counted(tmp_path: Path) -> None:
    before = count("rewards_spool_refused_total", why="disk")
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    spool = opened(blocked / "spool")
    answers = await asyncio.gather(*(spool.append(each) for each in records(3)), return_exceptions=True)
    assert [type(each) for each in answers] == [SpoolRefused] * 3
    assert (await spool.adopt(), await spool.take(10), spool.bytes) == (0, [], 0)
    assert count("rewards_spool_refused_total", why="disk") == before + 3
    await spool.close()


async def test_a_disk_that_is_full_in_the_middle_of_a_write_loses_nothing_before_it(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    await append(spool, *records(10))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    [file] = files(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 7, before[1]))
    try:
        with pytest.raises(SpoolRefused):
            await spool.append(bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    await spool.append(b"after")
    assert await spool.take(100) == [*records(10), b"after"]
    await spool.close()


async def test_a_disk_that_does_not_say_that_it_has_written_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def refuse(file: int, data: bytes) -> int:
        write(file, data)
        raise OSError(5, "Input/output error")

    spool = opened(tmp_path)
    await spool.append(b"before")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(SpoolRefused):
            await spool.append(b"unsure")
    await spool.append(b"after")
    assert await spool.take(10) == [b"before", b"after"]
    await spool.close()
