"""A process with its hands full: what it refuses before the application sees it, in which words, and what it goes on doing.

It is full of batches whose bodies have not come yet. So it is neither fast nor slow that decides what is refused here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest
import uvloop

from service.admission.in_flight import InFlight
from service.observability import metrics
from service.server import admission_control
from service.server.admission_control import REFUSED_IN_A_TURN, AdmissionControl
from service.server.listening import ACCEPTED_IN_A_TURN, in_copies
from tests.api_fixtures import Api
from tests.cli.front import Connection, Front, chunked, click, front, refused
from tests.links.campaigns import make_campaign

FULL = 8


def counted() -> list[float]:
    """So many posts were refused, so many of them by the application, and so many requests altogether."""
    labels = {"method": "POST", "route": "unmatched"}
    posts = metrics.REGISTRY.get_sample_value("rewards_http_requests_total", labels | {"status": "503"})
    seen = metrics.REGISTRY.get_sample_value("rewards_http_request_duration_seconds_count", labels)
    return [posts or 0.0, seen or 0.0, refused("overloaded")]


@pytest.fixture
async def process(api: Api) -> AsyncGenerator[Front]:
    await make_campaign(api.client("admin"))
    async with front(api, requests_max=FULL, client_share=1.0, brand_share=1.0) as served:
        yield served


@contextlib.asynccontextmanager
async def full(process: Front) -> AsyncGenerator[list[Connection]]:
    """While this lasts, the process can take nothing more: so many have begun to send a batch."""
    holders = [await process.connect() for _ in range(FULL)]
    head = process.request("POST /v1/grants/batch", None, "Content-Type: application/json", "Transfer-Encoding: chunked")
    for holder in holders:
        await holder.say(head)
    await process.settled(requests=FULL)
    yield holders


REQUESTS = {
    "a report": ("POST /v1/grants", b"{}", ()),
    "a question": ("GET /v1/customers/c-1/balance", b"{}", ()),
    "only the head": ("HEAD /v1/meta", b"{}", ()),
    "an id of the caller's": ("POST /v1/grants", b"{}", ("X-Request-Id: a",)),
    "an id that is not to be repeated": ("POST /v1/grants", b"{}", ("X-Request-Id: ~~ ~~",)),
    "a body to be asked for": ("POST /v1/grants", b"{}", ("Expect: 100-continue",)),
    "the last of its connection": ("POST /v1/grants", b"{}", ("Connection: close",)),
    "an old protocol": ("POST /v1/grants HTTP/1.0", b"{}", ()),
    "an upgrade": ("GET /v1/meta", b"{}", ("Upgrade: tea", "Connection: upgrade")),
}


async def test_what_is_refused_early_is_told_what_the_application_would_say(process: Front) -> None:
    counts = counted()
    async with full(process):
        for name, (line, body, headers) in REQUESTS.items():
            request = process.request(line, body, *headers)
            early, late = await process.connect(), await process.connect()
            await early.say(request)
            # Behind another request it goes the general way: the application itself refuses it.
            await late.say(b"GET /health/live HTTP/1.1\r\nHost: rewards.test\r\n\r\n" + request)
            assert (await late.hear()).status == 200, name
            with_body = not line.startswith("HEAD")
            answers = [await each.hear(with_body=with_body) for each in (early, late)]
            assert answers[0].said == answers[1].said, name
            for answer in answers:
                assert (answer.status, answer.header("retry-after")) == (503, "1"), name
                assert answer.header("x-request-id") == "a" or "X-Request-Id: a" not in headers, name
                if with_body:
                    assert json.loads(answer.body)["request_id"] == answer.header("x-request-id"), name
            if answers[0].header("connection") == "close":
                assert [await each.ends() for each in (early, late)] == [True, True], name
        posts = sum(line.startswith("POST") for line, _, _ in REQUESTS.values())
        assert [after - before for before, after in zip(counts, counted(), strict=True)] == [
            2 * posts,
            posts,
            2 * len(REQUESTS),
        ]


async def test_health_and_the_operator_are_always_answered(process: Front) -> None:
    async with full(process):
        connection = await process.connect()
        assert (await connection.ask(process.grant("m"))).status == 503
        assert (await connection.ask(process.request("GET /health/live"))).status == 200
        assert (await connection.ask(process.request("GET /health/ready"))).code == "overloaded"
        assert (await connection.ask(process.grant("m"))).status == 503


async def test_a_refused_body_is_read_past_whatever_is_in_it(process: Front) -> None:
    decoy = process.grant("never")
    large = decoy + b"x" * 1_000_000
    whole = process.request("POST /v1/grants", large)
    head = process.request("POST /v1/grants", None, "Transfer-Encoding: chunked")
    async with full(process) as holders:
        known, unknown = await process.connect(), await process.connect()
        # The answer is there before the body is.
        assert (await known.ask(whole[: len(whole) - len(large)])).status == 503
        assert (await unknown.ask(head)).status == 503
        await known.say(large[:500_000])
        await unknown.say(b"%x\r\n%b\r\n" % (len(decoy), decoy))
        assert process.in_flight.requests == FULL
        # What comes after it is the next request.
        assert (await known.ask(large[500_000:] + process.grant("m-1"))).status == 503
        assert (await unknown.ask(chunked(decoy) + process.grant("m-2"))).status == 503
        for holder in holders:
            assert (await holder.ask(chunked(b"[]"))).status != 503
    await process.settled(requests=0)
    for connection, message in ((known, "m-1"), (unknown, "m-2")):
        answer = await connection.ask(process.grant(message))
        assert (answer.status, json.loads(answer.body)["replayed"]) == (201, False)


async def test_what_was_acknowledged_is_in_the_ledger_and_what_was_refused_is_not(
    process: Front, owner: asyncpg.Connection[Any]
) -> None:
    async with full(process) as holders:
        others = [await process.connect() for _ in range(20)]
        for number, other in enumerate(others):
            assert (await other.ask(process.grant(f"refused-{number}"))).status == 503
        for number, holder in enumerate(holders):
            await holder.say(chunked(b"[%b]" % click(f"taken-{number}")))
        answers = [json.loads((await holder.hear()).body) for holder in holders]
    assert [[each["status"] for each in answer["results"]] for answer in answers] == [[201]] * FULL
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == FULL
    await process.settled(requests=0)
    again = [await other.ask(process.grant(f"refused-{number}")) for number, other in enumerate(others)]
    assert {(answer.status, json.loads(answer.body)["replayed"]) for answer in again} == {(201, False)}
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == FULL + len(others)


async def test_many_that_are_refused_at_once_are_all_told(process: Front) -> None:
    many = 3 * REFUSED_IN_A_TURN
    async with full(process) as holders:
        connections = [await process.connect() for _ in range(many)]
        for connection in connections:
            await connection.say(process.grant("m"))
        assert {(await each.hear()).status for each in connections} == {503}
        await connections[0].say(many * process.grant("m"))
        assert {(await connections[0].hear()).status for _ in range(many)} == {503}
        for holder in holders:
            await holder.ask(chunked(b"[]"))
    await process.settled(requests=0)
    assert (await connections[0].ask(process.grant("m"))).status == 201


class Reading:
    """Whether a connection is read."""

    def __init__(self) -> None:
        self.paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def test_connections_beyond_what_is_refused_in_a_turn_are_read_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_control, "REFUSED_IN_A_TURN", 2)
    gate = AdmissionControl(InFlight())
    connections: Any = [Reading() for _ in range(5)]
    for connection in connections:
        gate.note_refused(connection)
    paused = [[each.paused for each in connections]]
    for _ in range(2):
        await asyncio.sleep(0)
        paused.append([each.paused for each in connections])
    assert paused == [[False, False, True, True, True], [False, False, False, False, True], [False] * 5]
    gate.note_refused(connections[0])
    assert not connections[0].paused


def test_many_connections_are_accepted_in_a_turn_of_the_event_loop() -> None:
    async def accepted_in_turns() -> list[int]:
        accepted: list[asyncio.Protocol] = []

        class Accepted(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.append(self)

        with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as clients:
            loop = asyncio.get_running_loop()
            for _ in range(4 * ACCEPTED_IN_A_TURN):
                clients.enter_context(socket.create_connection(listening.getsockname()))
            servers = [await loop.create_server(Accepted, sock=copy) for copy in in_copies(listening)]
            counts: list[int] = []
            while len(accepted) < 4 * ACCEPTED_IN_A_TURN:
                await asyncio.sleep(0)
                counts.append(len(accepted))
            for server in servers:
                server.close()
        return counts

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        counts = runner.run(accepted_in_turns())
    assert max(after - before for before, after in itertools.pairwise([0, *counts])) >= ACCEPTED_IN_A_TURN
