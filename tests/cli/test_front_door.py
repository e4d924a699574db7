"""What a stranger may cost at the door, and that nobody else pays for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from service.admission.limits import (
    BATCH_BYTES_MAX,
    FORM_BYTES_MAX,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    SINGLE_BYTES_MAX,
    URL_BYTES_MAX,
)
from service.app import operator_app
from service.server import admission_control
from service.server.load_shedding import PIPELINED_MAX
from tests.api_fixtures import Api
from tests.cli.front import ELSEWHERE, HERE, Front, click, front, refused
from tests.links.campaigns import make_campaign

META = "GET /v1/meta"


@pytest.fixture
async def door(api: Api) -> AsyncGenerator[Front]:
    await make_campaign(api.client("admin"))
    async with front(api) as served:
        yield served


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: rewards.test", *headers, "", ""]).encode()


# ---- Bodies


BODIES = {
    "POST /v1/grants": SINGLE_BYTES_MAX,
    "POST /v1/grants/batch": BATCH_BYTES_MAX,
    "POST /v1/claims": FORM_BYTES_MAX,
    "POST /r/x": FORM_BYTES_MAX,
    "PUT /preferences/x": FORM_BYTES_MAX,
    "GET /v1/meta": FORM_BYTES_MAX,
    "DELETE /v1/keys/1": FORM_BYTES_MAX,
    "POST /nowhere/at/all": SINGLE_BYTES_MAX,
}


async def test_a_body_that_is_too_long_is_refused_from_its_head_alone(door: Front) -> None:
    for line, bytes_max in BODIES.items():
        before = refused("too_large")
        connection = await door.connect()
        answer = await connection.ask(head(line, f"Content-Length: {bytes_max + 1}", "Expect: 100-continue"))
        assert (answer.status, answer.code, answer.header("connection")) == (413, "too_large", "close"), line
        assert str(bytes_max) in json.loads(answer.body)["detail"], line
        assert await connection.ends(), line
        assert refused("too_large") == before + 1, line
        assert door.in_flight.requests == 0, line
        assert (await door.ask(head(line, f"Content-Length: {bytes_max}") + b" " * bytes_max)).status != 413, line


async def test_what_was_sent_with_a_refused_body_is_read_past(door: Front) -> None:
    connection = await door.connect()
    answer = await connection.ask(door.request("POST /v1/grants", b"x" * (SINGLE_BYTES_MAX + 1)))
    assert (answer.status, answer.code) == (413, "too_large")
    assert await connection.ends()


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long(door: Front) -> None:
    connection = await door.connect()
    await connection.say(door.request("POST /v1/grants", None, "Content-Type: application/json", "Transfer-Encoding: chunked"))
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(SINGLE_BYTES_MAX // 0x10000):
        await connection.say(piece)
    await connection.say(b"1\r\n \r\n")
    answer = await connection.hear()
    assert (answer.status, answer.code) == (413, "too_large")
    assert await connection.ends()
    await door.settled(requests=0, body_bytes=0)


async def test_only_what_is_received_is_in_flight(door: Front) -> None:
    connection = await door.connect()
    sent = door.request("POST /v1/grants/batch", None, "Content-Type: application/json", f"Content-Length: {BATCH_BYTES_MAX}")
    await connection.say(sent)
    await door.settled(requests=1, body_bytes=0)
    await connection.say(b"[" * 1000)
    await door.settled(requests=1, body_bytes=1000)
    connection.close()
    await door.settled(requests=0, body_bytes=0)


async def test_an_anonymous_announcement_of_everything_leaves_all_others_served(door: Front) -> None:
    stranger = await door.connect(ELSEWHERE)
    await stranger.say(head("POST /v1/claims", "Origin: https://elsewhere.example", "Content-Length: 67108864"))
    assert (await stranger.hear()).status == 413
    waiting = await door.connect(ELSEWHERE)
    await waiting.say(head("POST /v1/claims", "Origin: https://elsewhere.example", f"Content-Length: {FORM_BYTES_MAX}"))
    await door.settled(requests=1)
    assert (await door.ask(door.grant("m-1"))).status == 201
    assert (await door.ask(head("GET /health/ready"))).status == 200


# ---- Heads

HEADS = {
    "one header of all": (head(META, "X-A: " + "a" * HEAD_BYTES_MAX), 431, "headers_too_large"),
    "many headers": (head(META, *[f"X-{n}: a" for n in range(HEADERS_MAX)]), 431, "headers_too_large"),
    "a long name": (head(META, "X" * HEAD_BYTES_MAX + ": a"), 431, "headers_too_large"),
    "a long path": (head("GET /" + "a" * URL_BYTES_MAX), 414, "url_too_long"),
    "a long query": (head(META + "?" + "a" * URL_BYTES_MAX), 414, "url_too_long"),
    "a megabyte": (head(META, "X-A: " + "a" * 1_000_000), 431, "headers_too_large"),
    "no end": (head(META, "X-A: " + "a" * 10_000_000)[:-4], 431, "headers_too_large"),
    "a path without an end": (b"GET /" + b"a" * 1_000_000, 414, "url_too_long"),
    "headers without an end": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000, 431, "headers_too_large"),
}


async def test_a_head_that_is_too_large_is_refused(door: Front) -> None:
    for name, (sent, status, code) in HEADS.items():
        connection = await door.connect()
        answer = await connection.ask(sent)
        assert (answer.status, answer.code, answer.header("connection")) == (status, code, "close"), name
        assert await connection.ends(), name


async def test_the_largest_head_is_taken(door: Front) -> None:
    target = "/v1/meta?" + "a" * (URL_BYTES_MAX - len("/v1/meta?"))
    few = [f"X-{n:02}: a" for n in range(HEADERS_MAX - 2)]
    used = len(target) + len("Host: rewards.test\r\n") + sum(len(each) + 2 for each in few) + len("X-A: \r\n")
    sent = head(f"GET {target}", *few, "X-A: " + "a" * (HEAD_BYTES_MAX - used))
    assert (await door.ask(sent)).status not in {414, 431}
    assert (await door.ask(sent.replace(b"X-A: ", b"X-A: a"))).status == 431


async def test_a_head_without_an_end_keeps_little_of_what_comes(door: Front) -> None:
    """60 MB of a header: what is kept of it is bounded, and so is what is read past."""
    connection = await door.connect()
    await connection.say(b"GET /v1/meta HTTP/1.1\r\nX-A: ")
    sent = 0
    try:
        for _ in range(60):
            await connection.say(b"a" * 1_000_000)
            sent += 1_000_000
    except ConnectionError:
        pass
    assert sent < 60_000_000
    assert (await door.ask(head("GET /health/live"))).status == 200


CONTRADICTIONS = {
    "two lengths": ("Content-Length: 2", "Content-Length: 3"),
    "the same length twice": ("Content-Length: 2", "Content-Length: 2"),
    "a list of lengths": ("Content-Length: 2, 2",),
    "a length and chunks": ("Content-Length: 2", "Transfer-Encoding: chunked"),
    "chunks and a length": ("Transfer-Encoding: chunked", "Content-Length: 2"),
    "a length with a sign": ("Content-Length: +2",),
    "a negative length": ("Content-Length: -2",),
    "a length in hexadecimal": ("Content-Length: 0x2",),
    "a length beyond all": ("Content-Length: " + "9" * 30,),
    "chunks that are not last": ("Transfer-Encoding: chunked, gzip",),
    "an encoding without chunks": ("Transfer-Encoding: gzip",),
    "a space before the colon": ("Content-Length : 2",),
    "a folded header": ("X-A: b\r\n c",),
}


async def test_a_head_that_can_be_read_in_two_ways_is_refused(door: Front) -> None:
    for name, headers in CONTRADICTIONS.items():
        connection = await door.connect()
        answer = await connection.ask(head("POST /v1/grants", *headers) + b"{}")
        assert (answer.status, answer.code) == (400, "malformed_request"), name
        assert answer.header("content-type") == "application/problem+json", name
        assert await connection.ends(), name


async def test_a_key_in_a_trailer_is_none(door: Front) -> None:
    body = click("m-trailer")
    sent = head("POST /v1/grants", "Content-Type: application/json", "Transfer-Encoding: chunked", "Trailer: Authorization")
    trailer = f"Authorization: Bearer {door.keys['messaging']}\r\n".encode()
    said = sent + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer)
    for pieces in (1, 2):
        connection = await door.connect()
        for start in range(0, len(said), -(-len(said) // pieces)):
            await connection.say(said[start : start + -(-len(said) // pieces)])
        assert (await connection.hear()).status == 401
    # It is whole and comes at once, so the application sees it as a whole only after the trailer was read.
    with_key = door.request("POST /v1/grants", None, "Content-Type: application/json", "Transfer-Encoding: chunked")
    connection = await door.connect()
    answer = await connection.ask(
        with_key + b"%x\r\n%b\r\n0\r\nIdempotency-Key: x\r\nX-Request-Id: y\r\n\r\n" % (len(body), body)
    )
    assert answer.status == 201
    assert answer.header("x-request-id") != "y"


async def test_trailers_and_crumbs_are_bounded(door: Front) -> None:
    sent = door.request("POST /v1/grants", None, "Content-Type: application/json", "Transfer-Encoding: chunked")
    endless = await door.connect()
    await endless.say(sent + b"2\r\n{}\r\n0\r\n")
    try:
        for _ in range(50):
            await endless.say(b"X-A: " + b"a" * 20_000)
    except ConnectionError:
        pass
    assert (await endless.hear()).code == "malformed_request"
    crumbs = await door.connect()
    answer = await crumbs.ask(sent + b"1\r\n \r\n" * 200_000)
    assert (answer.status, answer.code) == (400, "malformed_request")
    await door.settled(requests=0, body_bytes=0)


# ---- Time


CLAIM = head("POST /v1/claims", "Origin: https://elsewhere.example", "Content-Length: 100")


async def test_what_is_begun_and_not_gone_on_with_is_given_up(door: Front) -> None:
    json_and = ("Content-Type: application/json",)
    begun = {
        "nothing at all": b"",
        "half a request line": b"GET /v1/me",
        "half a head": b"GET /v1/meta HTTP/1.1\r\nHost: rewards.te",
        "a body that is only announced": CLAIM,
        "half a body": CLAIM + b"{",
        "half a body with a key": door.request("POST /v1/grants", None, *json_and, "Content-Length: 100") + b"{",
        "a chunked body": door.request("POST /v1/grants", None, *json_and, "Transfer-Encoding: chunked") + b"5\r\n{",
        "half a body of a batch": door.request("POST /v1/grants/batch", None, *json_and, "Content-Length: 100") + b"[",
        "half a body that is answered already": head("POST /v1/grants", "Content-Length: 100") + b"{",
        "the next half head": head("GET /health/live") + b"GET /v1/me",
    }
    connections = {name: await door.connect() for name in begun}
    for name, said in begun.items():
        await connections[name].say(said)
    await door.settled(connections=len(begun), requests=5)
    answered = {"half a body that is answered already": 401, "the next half head": 200}
    for name, status in answered.items():
        assert (await connections[name].hear()).status == status, name
    before = refused("request_timeout")
    door.look(8)
    await door.settled(connections=len(begun) - 6)  # bodies stood still; heads have a little more time
    door.look(20)
    for name, connection in connections.items():
        if name not in {"nothing at all", "half a body that is answered already"}:
            answer = await connection.hear()
            assert (answer.status, answer.code, answer.header("connection")) == (408, "request_timeout", "close"), name
        assert await connection.ends(), name
    await door.settled(connections=0, requests=0, body_bytes=0)
    assert refused("request_timeout") == before + 8


async def test_a_body_that_comes_too_slowly_is_given_up(door: Front) -> None:
    slow, steady = await door.connect(), await door.connect()
    sent = door.request("POST /v1/grants", None, "Content-Type: application/json", "Content-Length: 1000000")
    for connection in (slow, steady):
        await connection.say(sent)
    await door.settled(requests=2)
    received = 0
    for second in range(29):
        door.look(1)
        if second < 5:
            await slow.say(b" " * 100)
            received += 100
        await steady.say(b" " * 2_000)
        received += 2_000
        # What the slow one sent is let go when it is given up.
        await door.until(lambda so_far=received: door.in_flight.body_bytes in {so_far, so_far - 500})
    assert (await slow.hear()).status == 408
    await door.settled(requests=1, body_bytes=29 * 2_000)
    # However steadily it comes, at last its time is over.
    door.look(3)
    assert (await steady.hear()).status == 408


async def test_a_connection_between_requests_is_closed_after_a_while(door: Front) -> None:
    connection = await door.connect()
    for _ in range(10):
        door.look(5)
        assert (await connection.ask(head("GET /health/live"))).status == 200
    door.look(7)
    assert await connection.ends()


async def test_who_does_not_take_an_answer_is_disconnected(door: Front) -> None:
    connection = await door.connect()
    transport: Any = connection.writer.transport
    transport.pause_reading()
    await connection.say(head("GET /docs/static/rapidoc.js") * 20)
    await door.until(lambda: any(each.flow.write_paused for each in door.gate.connections))
    door.look(20)
    assert door.in_flight.connections == 1
    door.look(60)
    await door.settled(connections=0, requests=0)


async def test_nothing_is_given_up_while_we_do_not_read(door: Front) -> None:
    connection = await door.connect()
    await connection.say(CLAIM)
    await door.settled(requests=1)
    (ours,) = door.gate.connections
    ours.flow.pause_reading()
    door.look(300)
    ours.flow.resume_reading()
    await connection.say(b" " * 100)
    assert (await connection.hear()).status != 408


# ---- Shares


def claim_begun(origin: str = "https://elsewhere.example") -> bytes:
    return head("POST /v1/claims", f"Origin: {origin}", "Content-Length: 100")


async def test_no_address_holds_more_than_its_share_of_the_requests(api: Api) -> None:
    await make_campaign(api.client("admin"))
    async with front(api, requests_max=16) as door:
        greedy = [await door.connect(ELSEWHERE) for _ in range(8)]
        for connection in greedy:
            await connection.say(claim_begun())
        await door.settled(requests=8)  # half: nobody else wants it
        over = await door.ask(claim_begun(), ELSEWHERE)
        assert (over.status, over.code, over.header("retry-after")) == (429, "share_exceeded", "1")
        assert (await door.ask(head("GET /r/x"), ELSEWHERE)).status == 429
        assert (await door.ask(head("GET /health/ready"), ELSEWHERE)).status == 200
        # Another address, a key that it shows there, and links are answered as ever.
        assert (await door.ask(door.grant("m-1"))).status == 201
        assert (await door.ask(head("GET /r/x"))).status == 404
        others = [await door.connect(HERE) for _ in range(4)]
        for connection in others:
            await connection.say(claim_begun())
        await door.settled(requests=12)
        assert (await door.ask(claim_begun(), HERE)).status == 429
        assert (await door.ask(head("GET /r/x"), "127.0.0.3")).status == 404


async def test_what_waits_on_its_connection_is_not_in_flight_and_cannot_be_many(api: Api) -> None:
    async with front(api, requests_max=8) as door:
        asking = await door.connect()
        await asking.say(head("GET /r/x") * 3 + claim_begun())
        assert [(await asking.hear()).status for _ in range(3)] == [404] * 3
        await door.settled(requests=1)
        # Whoever puts many behind an answer that they do not take holds that one alone.
        not_reading = await door.connect(ELSEWHERE)
        transport: Any = not_reading.writer.transport
        transport.pause_reading()
        await not_reading.say(head("GET /docs/static/rapidoc.js") * 90)
        await door.until(lambda: any(each.flow.write_paused for each in door.gate.connections))
        assert door.in_flight.requests <= 2
        assert (await door.ask(head("GET /r/x"))).status == 404
        # So many may wait and no more: then the connection ends with the last of them.
        many = await door.connect()
        await many.say(head("GET /r/x") * 3 * PIPELINED_MAX)
        answers = 0
        while not many.reader.at_eof():
            try:
                answers += (await many.hear()).status == 404
            except asyncio.IncompleteReadError:
                break
        assert PIPELINED_MAX <= answers < 3 * PIPELINED_MAX


async def test_no_key_and_no_brand_holds_more_than_its_share(api: Api) -> None:
    async with front(api, requests_max=16) as door:
        batch = ("POST /v1/customers/lookup", None, "Content-Type: application/json", "Content-Length: 100")
        for key, address in (("messaging", ELSEWHERE), ("storefront", ELSEWHERE)):
            for _ in range(4):
                await (await door.connect(address)).say(door.request(*batch, key=key))
        await door.settled(requests=8)
        await door.until(lambda: door.in_flight.at(ELSEWHERE).requests == 0)
        # It is the key that counts, whatever address it comes from; and its address does not count with it.
        assert (await door.ask(door.request("GET /v1/meta"), "127.0.0.4")).code == "share_exceeded"
        assert (await door.ask(head("GET /r/x"), ELSEWHERE)).status == 404
        # The brand's other keys go on, until all of them hold three quarters.
        assert (await door.ask(door.request("GET /v1/meta", key="admin"))).status == 200
        for _ in range(4):
            await (await door.connect()).say(door.request(*batch, key="finance"))
        await door.until(lambda: door.in_flight.brand(api.brand.brand_id).requests == 12)
        assert (await door.ask(door.request("GET /v1/meta", key="admin"))).code == "share_exceeded"
        assert (await door.ask(head("GET /r/x"))).status == 404


async def test_no_key_holds_more_than_its_share_of_the_bytes(api: Api) -> None:
    async with front(api, body_bytes_max=400_000) as door:
        batch = door.request("POST /v1/grants/batch", None, "Content-Type: application/json", "Content-Length: 300000")
        first, second = await door.connect(), await door.connect()
        await first.say(batch + b"[" + b" " * 89_999)
        await door.settled(requests=1, body_bytes=90_000)
        await second.say(batch + b"[" + b" " * 89_999)
        await door.settled(requests=2, body_bytes=180_000)
        await second.say(b" " * 30_000)
        answer = await second.hear()
        assert (answer.status, answer.code) == (429, "share_exceeded")
        await door.settled(requests=1, body_bytes=90_000)
        assert (await door.ask(head("GET /r/x"))).status == 404


async def test_a_trusted_proxy_is_never_a_client(api: Api) -> None:
    def forwarded(address: str) -> bytes:
        return claim_begun().replace(b"Host:", f"X-Forwarded-For: 198.51.100.1, {address}\r\nHost:".encode())

    async with front(api, trusted_proxies=HERE, requests_max=16, connections_max=12) as door:
        for _ in range(8):
            await (await door.connect()).say(forwarded("2001:db8:1:2::1"))
        await door.settled(requests=8, connections=8)
        # The /64 has its share, the proxy none: not of requests, and not of connections.
        assert (await door.ask(forwarded("2001:db8:1:2:ffff::2"))).code == "share_exceeded"
        begun = await door.connect()
        await begun.say(forwarded("2001:db8:1:3::1"))
        await door.settled(requests=9)
        assert (await door.ask(head("GET /r/x"))).status == 404
        # Whoever is no proxy is not believed.
        untold = await door.connect(ELSEWHERE)
        await untold.say(forwarded("2001:db8:1:4::1"))
        await door.settled(requests=10)
        assert door.in_flight.at(ELSEWHERE).requests == 1
    assert not door.in_flight.at("2001:db8:1:2::1").requests


async def test_open_connections_are_bounded_and_shared(api: Api) -> None:
    async with front(api, connections_max=16) as door:
        greedy = [await door.connect(ELSEWHERE) for _ in range(8)]
        await door.settled(connections=8)
        # Beyond half, its quarter binds: one more is good for health alone, and ends.
        one_more = await door.connect(ELSEWHERE)
        assert (await one_more.ask(head("GET /health/live"))).header("connection") == "close"
        assert await one_more.ends()
        answer = await (refused_one := await door.connect(ELSEWHERE)).ask(head("GET /r/x"))
        assert (answer.status, answer.code) == (429, "share_exceeded")
        assert await refused_one.ends()
        assert (await greedy[0].ask(head("GET /r/x"))).status == 404
        # The bound of all.
        others = [await door.connect(f"127.0.0.{n}") for n in (3, 3, 4, 4, 5, 5, 6, 6)]
        await door.settled(connections=16)
        assert (await (await door.connect("127.0.0.9")).ask(head("GET /r/x"))).code == "overloaded"
        assert (await door.ask(head("GET /health/live"), "127.0.0.9")).status == 200
        for connection in others:
            connection.close()
        await door.settled(connections=8)
        assert (await door.ask(head("GET /r/x"), "127.0.0.9")).status == 404


async def test_connections_far_beyond_a_share_are_closed_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_control, "ONLY_HEALTH_CONNECTIONS", 2)
    async with front(api, connections_max=16) as door:
        before = refused("connection")
        connections = [await door.connect(ELSEWHERE) for _ in range(20)]
        await door.until(lambda: refused("connection") - before >= 10)
        assert await connections[-1].ends()
        assert door.in_flight.connections <= 10


# ---- All of it


async def test_a_hundred_slow_or_silent_connections_leave_others_answered_as_before(door: Front, api: Api) -> None:
    item = {"campaign": "autumn", "message_id": "news", "customer": {"id": "C-1"}, "action": "click", "channel": "email"}
    minted = await api.client("messaging").post("/v1/links", json={"links": [item | {"destination": "https://shop.example/"}]})
    link = minted.json()["results"][0]["url"].partition("rewards.test")[2]
    json_and = ("Content-Type: application/json",)
    kinds = [
        b"",
        b"GET /v1/meta HTTP/1.1\r\nHost: rew",
        CLAIM,
        CLAIM + b"{",
        head("POST /v1/grants", *json_and, "Content-Length: 1000000") + b"{" * 100_000,
        head("PUT /preferences/x", *json_and, "Transfer-Encoding: chunked") + b"5\r\n{",
        door.request("POST /v1/grants", None, *json_and, "Content-Length: 100000") + b"{" * 1000,
        door.request("POST /v1/grants/batch", None, *json_and, f"Content-Length: {BATCH_BYTES_MAX}") + b"[" * 10_000,
        door.request("POST /v1/grants/batch", None, *json_and, "Transfer-Encoding: chunked") + b"5\r\n[",
        head("GET /r/x"),
    ]
    slow = [await door.connect(ELSEWHERE) for _ in range(100)]
    for number, connection in enumerate(slow):
        await connection.say(kinds[number % len(kinds)])
    await door.settled(connections=100, requests=50)
    for number in range(10):
        assert (await door.ask(door.grant(f"m-{number}", key="messaging"))).status == 201
        assert (await door.ask(head(f"GET {link}"))).status == 200
        assert (await door.ask(head("GET /health/ready"))).status == 200
    for connection in slow:
        connection.close()


async def test_ready_says_so_exactly_while_requests_are_refused(api: Api) -> None:
    async with front(api, requests_max=4, client_share=1.0, brand_share=1.0) as door:
        operator = operator_app(door.app)
        transport = httpx.ASGITransport(app=operator)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://operator") as operators:
            connections = [await door.connect() for _ in range(4)]
            for count, connection in enumerate(connections):
                assert (await door.ask(head("GET /health/ready"))).status == 200, count
                assert (await operators.get("/health/ready")).status_code == 200, count
                await connection.say(claim_begun())
                await door.settled(requests=count + 1)
            assert (await door.ask(head("GET /r/x"))).code == "overloaded"
            ready = await door.ask(head("GET /health/ready"))
            assert (ready.status, ready.code, ready.header("retry-after")) == (503, "overloaded", "1")
            assert "too much is in flight" in json.loads(ready.body)["detail"]
            assert (await operators.get("/health/ready")).json()["code"] == "overloaded"
            assert (await door.ask(head("GET /health/live"))).status == 200
            connections[0].close()
            await door.settled(requests=3)
            assert (await door.ask(head("GET /health/ready"))).status == 200
            assert (await door.ask(head("GET /r/x"))).status == 404
