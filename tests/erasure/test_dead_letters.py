"""Dead letters of erased customers go from the disk; others stay for the operator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from service.link_pages.deferred_claims import DeferredClaim, DeferredClaims, Settlement
from service.storage.spool import Spool
from service.storage.spool_files import ASIDE, REFUSED
from service.storage.spool_records import frame, unframe
from service.storage.spool_seals import Seals
from service.tokens.link import LinkClaims, LinkKind, LinkMode


def act_of(customer: int) -> bytes:
    """An act of a customer, as it is kept."""
    claims = LinkClaims(
        brand="lumen",
        host="",
        link_id=bytes(20),
        customer=customer,
        message_id=f"mail-of-{customer}",
        campaign_no=1,
        campaign_version=1,
        action="click",
        destination_no=1,
        issued_at=1,
        sent_at=1,
        expires_at=2,
        kind=LinkKind.CLAIM,
        mode=LinkMode.REDIRECT,
    )
    now = datetime.now(UTC)
    act = DeferredClaim(at=now, host="", way="redirect", grade="C", why="", since_sent_s=1.0, claims=claims)
    return msgspec.msgpack.encode(act)


async def nothing(acts: Sequence[DeferredClaim]) -> None:
    del acts


async def granted(acts: Sequence[DeferredClaim]) -> list[str | BaseException]:
    return ["granted" for _ in acts]


async def seven(customers: Collection[int]) -> Collection[int]:
    return {7} & set(customers)


SETTLEMENT = Settlement(nothing, granted, seven, may_pass=lambda _: False)


@pytest.mark.parametrize("file", [ASIDE, REFUSED])
@pytest.mark.parametrize("is_sealed", [False, True])
async def test_those_of_erased_customers_are_removed(tmp_path: Path, file: str, *, is_sealed: bool) -> None:
    seals = Seals([bytes(32)])
    records = [act_of(7), act_of(8), b"nobody can read this", act_of(7)]
    stored = [seals.seal(each) if is_sealed else each for each in records]
    (tmp_path / file).write_bytes(b"".join(map(frame, stored)))
    late = DeferredClaims(Spool(tmp_path, bytes_max=1_000_000, seals=seals))
    await late.forget_erased(SETTLEMENT)
    data = (tmp_path / file).read_bytes()
    assert unframe(data, 10, is_all=True)[0] == [stored[1], stored[2]]
    assert b"mail-of-7" not in data


async def test_where_nobody_was_erased_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / ASIDE).write_bytes(frame(act_of(8)))
    before = (tmp_path / ASIDE).stat()
    late = DeferredClaims(Spool(tmp_path, bytes_max=1_000_000))
    await late.forget_erased(SETTLEMENT)
    after = (tmp_path / ASIDE).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert [each.name for each in tmp_path.iterdir()] == [ASIDE]
