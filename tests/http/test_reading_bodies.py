"""Bodies read outside the framework: whole or not at all, within a bound, and no byte of them twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from service.http.bodies import read_body
from service.http.problems import Problem


def received(*messages: dict[str, Any]) -> Any:
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


def pieces(sizes: Iterable[bytes]) -> list[dict[str, Any]]:
    return [{"type": "http.request", "body": piece, "more_body": True} for piece in sizes]


LAST = {"type": "http.request", "body": b"!", "more_body": False}


async def test_a_body_is_all_that_has_come() -> None:
    assert await read_body(received(LAST), bytes_max=1) == b"!"
    assert await read_body(received(*pieces([b"a", b"", b"bc"]), LAST), bytes_max=4) == b"abc!"


@pytest.mark.parametrize("last", [LAST, *pieces([b"!"])])
async def test_a_body_that_is_too_long_is_refused_as_soon_as_it_is(last: dict[str, Any]) -> None:
    with pytest.raises(Problem, match="too_large"):
        await read_body(received(*pieces([b"a", b"b", b"c"]), last), bytes_max=3)


@pytest.mark.parametrize("began", [[], pieces([b"{}"])])
async def test_a_body_that_was_cut_short_is_none(began: list[dict[str, Any]]) -> None:
    """Also where what has come of it would be a whole document: the sender is told that nothing was done."""
    with pytest.raises(Problem, match="truncated"):
        await read_body(received(*began, {"type": "http.disconnect"}), bytes_max=100)
