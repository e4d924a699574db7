"""Idempotency keys, pages, public ids, and what is remembered for a moment."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from service.campaigns.decisions_in_flight import DecisionsInFlight
from service.concurrency.ttl_cache import TtlCache
from service.http import identifiers
from service.http.idempotency import parse_key, request_fingerprint
from service.http.pagination import page
from service.http.problems import Problem

KEYS = [
    ("a", "a"),
    ('"a"', "a"),
    ('"', '"'),
    ("order 7 ~", "order 7 ~"),
    ("x" * 255, "x" * 255),
    ('"' + "x" * 255 + '"', "x" * 255),
]


@pytest.mark.parametrize(("header", "key"), KEYS)
def test_an_idempotency_key_is_read_without_its_quotes(header: str, key: str) -> None:
    assert parse_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "x" * 256, "a\tb", "é", "a\x7f", "a\nb", "a\n"])
def test_a_key_that_cannot_be_kept_is_refused(header: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_key(header)
    assert (refused.value.code, refused.value.status) == ("idempotency_key_invalid", 400)


def test_a_missing_key_is_asked_for() -> None:
    with pytest.raises(Problem) as refused:
        parse_key(None)
    assert (refused.value.code, refused.value.status) == ("idempotency_key_required", 400)


class Order(msgspec.Struct):
    points: int
    note: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Bare(msgspec.Struct):
    points: int
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])


def test_a_fingerprint_tells_requests_apart_and_not_their_spelling() -> None:
    fingerprint = request_fingerprint("capture/1", Order(1, metadata={"a": "1", "b": "2"}))
    assert len(fingerprint) == 32
    assert fingerprint == request_fingerprint("capture/1", Order(1, metadata={"b": "2", "a": "1"}))
    # As it was asked before the request had these fields.
    assert request_fingerprint("capture/1", Order(1, note=None)) == request_fingerprint("capture/1", Bare(1))
    others = [("capture/1", Order(2)), ("capture/2", Order(1, metadata={"a": "1", "b": "2"})), ("capture/1", None)]
    assert len({fingerprint, *(request_fingerprint(*other) for other in others)}) == 4


def test_a_page_says_where_the_next_begins() -> None:
    assert page([1, 2, 3], limit=2, cursor=int).next == "2"
    assert page([1, 2], limit=2, cursor=int).next is None
    assert page(list[int](), limit=2, cursor=int).items == []


def test_public_ids_read_back() -> None:
    key = bytes(range(16))
    assert identifiers.grant_id(7, key) == "grt_00000007000102030405060708090a0b0c0d0e0f"
    assert identifiers.parse_grant_id(identifiers.grant_id(2**31 - 1, key)) == (2**31 - 1, key)
    assert identifiers.redemption_id(3, 5) == "red_000000030000000000000005"
    assert identifiers.parse_redemption_id(identifiers.redemption_id(3, 2**63 - 1)) == (3, 2**63 - 1)


@pytest.mark.parametrize("text", ["", "grt_", "grt_" + "f" * 40, "grt_" + "0" * 41, "GRT_" + "0" * 40, "grt_" + "0" * 39 + "G"])
def test_what_is_not_an_id_names_nothing(text: str) -> None:
    assert identifiers.parse_grant_id(text) is None
    assert identifiers.parse_redemption_id(text.replace("grt", "red")) is None


async def test_a_cache_asks_once_however_many_wait() -> None:
    asked: list[str] = []

    async def load(key: str) -> int:
        asked.append(key)
        await asyncio.sleep(0)
        if key == "bad":
            raise LookupError
        return len(asked)

    cache = TtlCache(load, ttl_s=1, size_max=2, clock=lambda: 0.0)
    assert await asyncio.gather(*(cache.get("a") for _ in range(50))) == [1] * 50
    for _ in range(2):
        with pytest.raises(LookupError):
            await cache.get("bad")
    assert asked == ["a", "bad", "bad"]
    for key in ("b", "c", "a"):
        await cache.get(key)
    assert asked[3:] == ["b", "c", "a"]


class Source:
    """A clock that is set, and a value that takes as long to load as it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.value: int | Exception = 1
        self.asked = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.cache = TtlCache(self._load, ttl_s=1, clock=lambda: self.now)

    async def _load(self, _: str) -> int:
        self.asked += 1
        value = self.value
        await self.go_on.wait()
        if isinstance(value, Exception):
            raise value
        return value

    async def at(self, now: float, *, callers: int = 5) -> list[int]:
        """What so many callers get at this time, without waiting for anything."""
        self.now = now
        async with asyncio.timeout(0.1):
            got = [await self.cache.get("a") for _ in range(callers)]
        # What was begun for later goes as far as it can.
        for _ in range(3):
            await asyncio.sleep(0)
        return got


async def test_a_value_in_use_is_asked_for_again_while_the_old_one_is_given_out() -> None:
    source = Source()
    assert await source.at(0.0) == [1] * 5
    source.value = 2
    assert await source.at(0.49) == [1] * 5
    assert source.asked == 1
    source.go_on.clear()
    assert await source.at(0.5) == [1] * 5
    assert await source.at(0.99) == [1] * 5
    assert source.asked == 2
    source.go_on.set()
    await asyncio.sleep(0)
    # Its age counts from when it was asked for.
    assert await source.at(0.999) == [2] * 5
    assert await source.at(1.49) == [2] * 5
    assert source.asked == 3


async def test_no_value_is_given_out_that_is_too_old() -> None:
    source = Source()
    assert await source.at(0.0) == [1] * 5
    source.value = 2
    source.go_on.clear()
    assert await source.at(0.9) == [1] * 5
    with pytest.raises(TimeoutError):
        await source.at(1.0)
    source.go_on.set()
    assert await source.at(1.0) == [2] * 5
    assert source.asked == 2
    source.value = 3
    assert await source.at(9.0) == [3] * 5


async def test_a_failure_in_the_background_is_nobodys_until_the_value_is_too_old() -> None:
    source = Source()
    assert await source.at(0.0) == [1] * 5
    source.value = LookupError("away")
    assert await source.at(0.5) == [1] * 5
    assert await source.at(0.9) == [1] * 5
    assert source.asked > 2
    with pytest.raises(LookupError):
        await source.at(1.0)
    source.value = 2
    assert await source.at(1.0) == [2] * 5


async def test_what_is_forgotten_is_not_given_out_again() -> None:
    source = Source()
    assert await source.at(0.0) == [1] * 5
    source.go_on.clear()
    assert await source.at(0.5) == [1] * 5
    source.cache.clear()
    source.value = 2
    source.go_on.set()
    assert await source.at(0.5) == [2] * 5


class Things:
    """Things that are created, a cache of which there are, and look-ups that take as long as they are told."""

    def __init__(self, *, keeps_none: bool = False) -> None:
        self.there: set[str] = set()
        self.asked = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.cache: TtlCache[str, str | None] = TtlCache(self._load, ttl_s=1, keeps_none=keeps_none, clock=lambda: 0.0)

    async def _load(self, key: str) -> str | None:
        self.asked += 1
        found = key if key in self.there else None
        await self.go_on.wait()
        return found


async def test_what_is_not_there_is_not_remembered() -> None:
    things = Things()
    assert await things.cache.get("a") is None
    things.there.add("a")
    assert await things.cache.get("a") == "a"
    assert await things.cache.get("a") == "a"
    assert things.asked == 2
    kept = Things(keeps_none=True)
    assert await kept.cache.get("a") is None
    kept.there.add("a")
    assert await kept.cache.get("a") is None


async def test_who_asks_after_something_was_created_is_not_told_what_was_found_before() -> None:
    things = Things()
    things.go_on.clear()
    before = asyncio.create_task(things.cache.get("a"))
    for _ in range(3):
        await asyncio.sleep(0)
    things.there.add("a")
    after = [asyncio.create_task(things.cache.get("a")) for _ in range(50)]
    await asyncio.sleep(0)
    things.go_on.set()
    assert await before is None
    assert await asyncio.gather(*after) == ["a"] * 50
    assert things.asked == 2, "however many ask, one look-up is under way at a time"


async def test_what_is_asked_for_as_it_is_now_is_looked_up_now() -> None:
    source = Source()
    assert await source.at(0.0) == [1] * 5
    source.go_on.clear()
    assert await source.at(0.5) == [1] * 5
    source.value = 2
    now = [asyncio.create_task(source.cache.get_now("a")) for _ in range(5)]
    await asyncio.sleep(0)
    source.go_on.set()
    assert await asyncio.gather(*now) == [2] * 5
    assert source.asked == 3


async def test_one_value_is_forgotten_with_what_is_being_loaded_of_it() -> None:
    source = Source()
    assert await source.at(0.0) == [1] * 5
    source.go_on.clear()
    assert await source.at(0.5) == [1] * 5
    source.value = 2
    source.cache.forget("a")
    source.go_on.set()
    assert await source.at(0.5) == [2] * 5
    assert await source.at(0.6) == [2] * 5


async def test_who_drains_waits_for_all_who_are_inside_and_for_nobody_who_comes_later() -> None:
    decisions_in_flight = DecisionsInFlight()
    await decisions_in_flight.drained()
    leave = [asyncio.Event() for _ in range(3)]

    async def act(n: int) -> None:
        with decisions_in_flight.now:
            await leave[n].wait()

    acting = [asyncio.create_task(act(0))]
    await asyncio.sleep(0)
    first = asyncio.create_task(decisions_in_flight.drained())
    await asyncio.sleep(0)
    acting.append(asyncio.create_task(act(1)))
    await asyncio.sleep(0)
    second = asyncio.create_task(decisions_in_flight.drained())
    await asyncio.sleep(0)
    acting.append(asyncio.create_task(act(2)))
    leave[1].set()
    await acting[1]
    await asyncio.sleep(0)
    assert (first.done(), second.done()) == (False, False), "the second waits for who was inside before the first as well"
    leave[0].set()
    await asyncio.gather(first, second)
    assert not acting[2].done()
    leave[2].set()
    await asyncio.gather(*acting)


async def test_a_caller_that_goes_away_does_not_fail_the_others() -> None:
    release = asyncio.Event()

    async def load(key: str) -> str:
        await release.wait()
        return key

    cache = TtlCache(load, ttl_s=1)
    first, second = asyncio.create_task(cache.get("a")), asyncio.create_task(cache.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert await second == "a"
