"""The client that makes load: what it sends, what it counts, and that it notices what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator

import msgspec
import pytest

from bench.books import Population
from bench.load import (
    Conversation,
    Load,
    LoadFailed,
    ask,
    drive,
    drive_at,
    drive_open,
    percentile,
    processor_ms,
    request,
    together,
)
from bench.stage import Station
from bench.traffic import BURST, Batches, bursts, poisson, reports, single_reports
from ledger import Book
from service.grants.schemas import GrantRequest

Respond = Callable[[bytes, bytes], bytes]


@contextlib.asynccontextmanager
async def serving(respond: Respond) -> AsyncGenerator[int]:
    """A server that answers what ``respond`` makes of a request's head and body, a few bytes at a time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
                answer = respond(head, await reader.readexactly(length))
                if not answer:
                    break
                for part in (answer[:20], answer[20:]):
                    writer.write(part)
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def always(answer: bytes) -> Respond:
    """Whatever is asked."""
    return lambda _head, _body: answer


def _answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d Whatever\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body


async def test_a_conversation_is_sent_each_answer_also_the_last_one() -> None:
    heard: list[tuple[int, bytes]] = []

    def conversation() -> Conversation:
        for number in itertools.count():
            answer = yield request("POST", "/echo", body=b"%d" % number)
            heard.append(answer)

    async with serving(lambda _, body: _answer(200, body * 2)) as port:
        load = (await drive(port, [conversation()], seconds=0.3)).expect(200)
    assert heard == [(200, b"%d" % number * 2) for number in range(len(heard))]
    assert load.answers == len(heard) == len(load.latencies_s)
    assert 0.3 <= load.seconds < 5


async def test_what_is_shared_is_said_once_and_a_number_is_a_rest() -> None:
    shared = iter(range(20))
    said: list[bytes] = []

    def conversation() -> Conversation:
        for number in shared:
            yield 0.001
            yield request("POST", "/", body=b"%d" % number)

    def respond(_: bytes, body: bytes) -> bytes:
        said.append(body)
        return _answer(201, b"")

    async with serving(respond) as port:
        (await drive(port, [conversation() for _ in range(4)])).expect(201)
    assert sorted(map(int, said)) == list(range(20))


async def test_other_answers_and_lost_connections_are_failures() -> None:
    async with serving(always(_answer(503, b"busy"))) as port:
        load = await drive(port, [iter_once(request("GET", "/"))])
        with pytest.raises(LoadFailed, match=r"503.*busy"):
            load.expect(200, 201)
        assert await ask(port, request("GET", "/")) == (503, b"busy")
    async with serving(always(b"")) as port:
        with pytest.raises(LoadFailed, match="closed"):
            await drive(port, [iter_once(request("GET", "/"))])


def iter_once(said: bytes) -> Conversation:
    """Say one thing."""
    yield said


async def test_an_open_loop_sends_at_its_rate_and_counts_what_it_could_not() -> None:
    async with serving(always(_answer(200, b""))) as port:
        load = await drive_at(port, itertools.repeat(request("GET", "/")), rate=200, seconds=0.5, connections_max=20)
        assert load.answers + load.unsent == 100
        one = await drive_at(port, itertools.repeat(request("GET", "/")), rate=50_000, seconds=0.5, connections_max=1)
    assert one.unsent > one.answers > 0


async def test_an_open_loop_sends_what_arrives_and_counts_its_time_from_then() -> None:
    arrivals = [0.0, 0.02, 0.02, 0.04]
    async with serving(always(_answer(200, b""))) as port:
        load = await drive_open(port, itertools.repeat(request("GET", "/")), arrivals, connections_max=8)
    assert load.statuses == {200: 4}
    assert load.seconds >= 0.04


async def test_a_server_that_stalls_is_not_forgiven_what_waited_for_a_connection() -> None:
    """Ten arrive at once on one connection, and each answer takes a while: the last has waited for all of them."""
    held_s = 0.02

    def slow(_head: bytes, _body: bytes) -> bytes:
        until = time.perf_counter() + held_s
        while time.perf_counter() < until:  # the whole server stalls
            pass
        return _answer(200, b"")

    async with serving(slow) as port:
        load = await drive_open(port, itertools.repeat(request("GET", "/")), [0.0] * 10, connections_max=1)
    assert [took > held_s * (place + 1) * 0.99 for place, took in enumerate(load.latencies_s)] == [True] * 10


async def test_an_open_loop_notices_lost_connections() -> None:
    async with serving(always(b"")) as port:
        with pytest.raises(LoadFailed, match="closed"):
            await drive_open(port, itertools.repeat(request("GET", "/")), [0.0, 60.0], connections_max=2)


@pytest.mark.parametrize("arrivals", [poisson, bursts])
def test_arrivals_keep_their_rate_and_are_the_same_again(arrivals: Callable[[float, float, int], Iterator[float]]) -> None:
    instants = list(arrivals(1_000, 100, 7))
    assert instants == sorted(instants)
    assert instants == list(arrivals(1_000, 100, 7)) != list(arrivals(1_000, 100, 8))
    assert 0 <= instants[0] <= instants[-1] < 100
    assert len(instants) == pytest.approx(100_000, rel=0.1)


def test_arrivals_are_far_apart_or_many_at_once() -> None:
    alone, together = Counter(poisson(1_000, 10, 1)), Counter(bursts(1_000, 10, 1))
    assert set(alone.values()) == {1}
    assert set(together.values()) == {BURST}
    # As far apart as chance has it: their spread is their mean.
    gaps = [later - earlier for earlier, later in itertools.pairwise(poisson(1_000, 100, 3))]
    assert statistics.stdev(gaps) == pytest.approx(statistics.fmean(gaps), rel=0.05)


async def test_the_times_of_refusals_are_apart() -> None:
    statuses = itertools.cycle([201, 503, 503])
    async with serving(lambda _head, _body: _answer(next(statuses), b"{}")) as port:
        load = await drive_at(port, itertools.repeat(request("GET", "/")), rate=200, seconds=0.2, connections_max=1)
    load.expect(201, 503)
    assert (len(load.latencies_s), len(load.refusals_s)) == (load.statuses[201], load.statuses[503])
    assert load.statuses[503] > 0


def test_percentiles_are_values_that_occurred() -> None:
    values = array("d", [float(n) for n in range(100, 0, -1)])
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0
    half, none = Counter({"client": 500, "process": 2_000}), Counter({"process": 1})
    both = together(
        [Load(latencies_s=values, seconds=1.0, processor_ms=half), Load(latencies_s=values, seconds=3.0, processor_ms=none)]
    )
    assert (len(both.latencies_s), both.shares) == (200, "client 12%, process 50%")


def test_what_a_process_of_ours_takes_of_processors_is_counted() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
    before = processor_ms()
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        taken = processor_ms() - before
        process.communicate(b"\n")
    assert taken["process"] > 100


STATION = Station("shop", Book(1, 1), 1, Population(customers=1_000), {"messaging": "rk_live_x"})


def test_the_load_is_as_described() -> None:
    single = [_report(said) for said in itertools.islice(single_reports(STATION), 4_000)]
    by_email = sum(report.customer.email is not None for report in single)
    repeated = len(single) - len({report.message_id for report in single})
    assert by_email == pytest.approx(2_000, rel=0.1)
    assert repeated == pytest.approx(400, rel=0.25)
    assert {len(report.message_id) for report in single} == {36}
    assert {len(report.customer.id) for report in single if report.customer.id} == {36}
    assert len(set(itertools.islice(reports(STATION), 1_000))) == 1_000


def test_one_in_ten_of_a_batch_is_a_duplicate_inside_it() -> None:
    batches = Batches(STATION, 1_000)
    conversation = batches.conversation()
    said = next(conversation)
    assert isinstance(said, bytes)
    items = msgspec.json.decode(said.partition(b"\r\n\r\n")[2], type=list[GrantRequest])
    assert (len(items), len({item.message_id for item in items})) == (1_000, 900)
    conversation.send((200, b'{"status":201}' * 900 + b'{"status":200}' * 100))
    assert batches.granted == 900
    with pytest.raises(LoadFailed, match="899 of 900"):
        conversation.send((200, b'{"status":201}' * 899 + b'{"status":200}' * 101))


def _report(said: bytes) -> GrantRequest:
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    return msgspec.json.decode(body, type=GrantRequest)
