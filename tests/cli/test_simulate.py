"""Simulated traffic: repeatable, plausible, and sent until it is answered."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import msgspec
import pytest

from service.cli.clients.simulate import command as simulate
from service.cli.clients.simulate.command import Tally
from service.demo_shop import traffic
from service.demo_shop.traffic import Traffic

DAY = Traffic(campaign="welcome", day=date(2026, 11, 21), events=2_000, customers=200)


def events_of(made: Traffic) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in traffic.lines(made)]


def test_a_seed_makes_the_same_file_for_ever() -> None:
    content = b"".join(traffic.lines(DAY))
    assert hashlib.sha256(content).hexdigest() == "f41055c521e5430d98d9ec738d1186748dfdf6be37b0eff1483bdb65a4252b28"
    assert b"".join(traffic.lines(msgspec.structs.replace(DAY, seed=2))) != content


def test_one_in_ten_events_is_a_repeat_and_some_repeats_are_in_the_same_batch() -> None:
    events = events_of(DAY)
    places: dict[tuple[str, str], list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault((event["message_id"], event["action"]), []).append(place)
    assert len(events) == 2_000
    assert len(places) == 1_800
    assert sum(any(later - first < 5 for later in others) for first, *others in places.values()) > 50
    for first, *others in places.values():
        for other in others:
            assert {**events[first], "ref": ""} == {**events[other], "ref": ""}


def test_a_customer_is_always_reported_under_the_same_identity() -> None:
    identities = [traffic.customer_identity(number) for number in range(30_000)]
    assert {len(identity) for identity in identities} == {1}
    assert len({msgspec.json.encode(identity) for identity in identities}) == 30_000
    assert {kind for identity in identities for kind in identity} == {"id", "email", "phone"}


def test_people_open_more_than_they_click_and_click_more_than_they_answer() -> None:
    events = events_of(DAY)
    actions = Counter(event["action"] for event in events)
    assert actions["open"] > 2 * actions["click"] > 4 * actions["reply"] > 0
    assert set(Counter(event["channel"] for event in events)) == {"email", "sms", "rcs", "whatsapp", "push", "web", "app"}
    hours = Counter(event["occurred_at"][11:13] for event in events)
    assert hours["19"] > 5 * hours["03"]
    assert {event["occurred_at"][:10] for event in events} == {"2026-11-21"}


async def send(handler: Any, **how: Any) -> Tally:
    tally = Tally()
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://rewards.example")
    async with client:
        await simulate.send(client, traffic.lines(DAY), tally=tally, **how)
    return tally


def answer_all(request: httpx.Request) -> httpx.Response:
    """Grant everything."""
    count = request.content.count(b"\n")
    results = [{"index": n, "status": 201, "outcome": "granted", "points": 2} for n in range(count)]
    return httpx.Response(200, json={"results": results})


async def test_every_event_is_sent_once_by_clients_that_share_the_work() -> None:
    seen: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.extend(request.content.splitlines(keepends=True))
        return answer_all(request)

    tally = await send(handler, concurrency=4, batch_size=70)
    assert sorted(seen) == sorted(traffic.lines(DAY))
    assert (tally.outcomes["granted"], tally.points, tally.failed) == (2_000, 4_000, 0)


async def test_what_could_not_be_done_now_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "FIRST_WAIT_S", 0.0)
    calls = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise httpx.ConnectError("the service restarts")
        if calls == 2:
            return httpx.Response(503, headers={"Retry-After": "0"})
        answer = msgspec.json.decode(answer_all(request).content)
        if calls == 3:
            answer["results"][1] = {"index": 1, "status": 503, "problem": {"code": "overloaded", "retryable": True}}
        return httpx.Response(200, json=answer)

    tally = await send(handler, batch_size=2_000)
    assert (tally.outcomes["granted"], tally.retries, tally.failed) == (2_000, 3, 0)


async def test_it_gives_up_in_the_end_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "FIRST_WAIT_S", 0.0)

    def answer(status: int) -> Callable[[httpx.Request], httpx.Response]:
        return lambda request: httpx.Response(status)

    tally = await send(answer(503), batch_size=1_000)
    assert tally.failed == 2_000
    refused = await send(answer(401), batch_size=1_000)
    assert (refused.failed, refused.retries) == (2_000, 0)
