"""`rewards serve --processes 2`: one port and one operator's port, whatever becomes of one of the processes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.cli.serve.operator_process import ApiProcesses
from service.cli.serve.supervisor import Child
from service.server.listening import listen_locally
from service.settings import create_secrets
from tests import plain_http
from tests.api_fixtures import make_brand, make_keys
from tests.cli import running
from tests.cli.up import children, lives
from tests.conftest import Database
from tests.service.test_added_metrics import said

WITHIN_S = 30.0
CONNECTIONS = 32
CLICKS = 40
POINTS = 3
BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"


@dataclass
class Several:
    """A `rewards serve --processes 2` with a brand."""

    environ: dict[str, str]
    database: Database
    keys: dict[str, str]
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.environ["REWARDS_PORT"])

    def started(self) -> None:
        """Wait until the operator's port says that all are ready."""
        running.wait_ready(self.environ["REWARDS_OPERATOR_PORT"])

    def metric(self, name: str, **labels: str) -> float:
        text = plain_http.get(f"http://127.0.0.1:{self.environ['REWARDS_OPERATOR_PORT']}/metrics").text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def call(self, key: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.keys[key]}"}
        answer = plain_http.request(method, f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers, timeout=60)
        return answer.raise_for_status().json()

    def kill(self, pid: int, connections: list[http.client.HTTPConnection]) -> int:
        """`kill -9` one of its processes; how many of these connections are answered on."""
        os.kill(pid, signal.SIGKILL)
        while pid in children(self.process.pid):
            time.sleep(0.001)
        left = sum(is_live(each) for each in connections)
        for each in connections:
            each.close()
        return left

    def stop(self) -> str:
        """Stop it in order; what it said."""
        self.process.terminate()
        said = self.process.communicate(timeout=30)[0]
        assert self.process.returncode == 0, said
        return said


@pytest.fixture(scope="module")
async def several(create_database: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Several]:
    directory = tmp_path_factory.mktemp("several")
    create_secrets(directory / "secrets.json")
    database: Database = await create_database()
    owner = await asyncpg.connect(database.owner_url)
    keys = await make_keys(owner, await make_brand(owner))
    await owner.close()
    environ = running.environ(directory, database_url=database.application_url, processes=2)
    several = Several(environ, database, keys, running.start(environ, "serve"))
    several.started()
    now = datetime.now(UTC)
    campaign = {
        "id": "autumn",
        "name": "Autumn",
        "starts_at": (now - timedelta(days=1)).isoformat(),
        "ends_at": (now + timedelta(days=1)).isoformat(),
        "budget": 1_000_000,
        "rules": [{"action": "click", "points": POINTS, "min_evidence": "C"}],
    }
    several.call("admin", "POST", "/v1/campaigns", campaign)
    yield several
    said = several.stop()
    assert "Traceback" not in said


def connected(port: int) -> list[http.client.HTTPConnection]:
    """As many connections, over each of which a process has answered."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN_S) for _ in range(CONNECTIONS)]
    for each in connections:
        each.connect()
    assert all(is_live(each) for each in connections)
    return connections


def is_live(connection: http.client.HTTPConnection) -> bool:
    """Whether the process at its other end answers."""
    sock = connection.sock
    if sock is None:
        return False
    connection.auto_open = False  # pyright: ignore[reportAttributeAccessIssue] - to tell a new connection from this one
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().read() != b""
    except (OSError, http.client.HTTPException):
        return False


def test_all_sums_begin_again_when_who_adds_them_up_is_killed(several: Several) -> None:
    def counted() -> tuple[float, float]:
        answered = several.metric("rewards_http_requests_total", route="/health/live")
        return answered, several.metric("rewards_http_request_duration_seconds_count", route="/health/live")

    several.started()
    for each in connected(several.port):
        each.close()
    assert min(counted()) >= CONNECTIONS
    several.kill(max(children(several.process.pid)), [])
    several.started()
    assert counted() == (0, 0)
    for each in connected(several.port):
        each.close()
    assert counted() == (CONNECTIONS, CONNECTIONS)
    assert several.metric("rewards_processes") == 2


def test_one_of_them_is_killed_and_its_neighbour_answers_on(several: Several) -> None:
    def answered() -> float:
        return several.metric("rewards_http_requests_total", route="/health/live")

    before = answered()
    connections = connected(several.port)
    assert answered() == before + CONNECTIONS
    assert several.metric("rewards_processes") == 2

    several.started()
    first, second, operators = sorted(children(several.process.pid))
    left = several.kill(first, connections)
    assert 0 < left < CONNECTIONS, "each had some of the connections"
    # Who connects now is not refused, and waits for the successor.
    assert len(connected(several.port)) == CONNECTIONS
    several.started()
    assert answered() >= before + 2 * CONNECTIONS + left, "no sum falls"
    assert several.metric("rewards_process_restarts_total") == 1

    (successor,) = set(children(several.process.pid)) - {first, second, operators}
    several.kill(successor, [])
    # Its own successor rests a while.
    assert len(connected(several.port)) == CONNECTIONS
    several.started()
    connections = connected(several.port)
    assert 0 < several.kill(second, connections) < CONNECTIONS, "it has its share again"
    several.started()


async def test_what_a_killed_process_left_in_the_spool_is_paid_once(several: Several) -> None:
    items = [
        {
            "campaign": "autumn",
            "message_id": f"message-{n}",
            "customer": {"id": f"customer-{n}"},
            "action": "click",
            "mode": "redirect",
            "destination": "https://shop.example/offers",
            "sent_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        }
        for n in range(CLICKS)
    ]
    links = (await asyncio.to_thread(several.call, "messaging", "POST", "/v1/links", {"links": items}))["results"]
    several.started()
    async with contextlib.AsyncExitStack() as opened:
        for link in links:
            client = await opened.enter_async_context(plain_http.client(headers={"User-Agent": BROWSER}))
            assert (await client.get(link["url"])).status_code == 302
    spool = Path(several.environ["REWARDS_DATA_DIR"]) / "spool"
    pids = (path.stem.rpartition("-")[2] for path in spool.glob("*.spool") if path.stat().st_size)
    several.kill(int(next(pids)), [])

    owner = await asyncpg.connect(several.database.owner_url)
    deadline = time.monotonic() + WITHIN_S
    paid = "SELECT count(*) FROM ledger.transfer WHERE verb = 2"
    while await owner.fetchval(paid) < CLICKS or several.metric("rewards_spool_bytes"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    row = await owner.fetchrow(
        "SELECT count(*), sum(amount)::int, count(DISTINCT customer) FROM ledger.transfer WHERE verb = 2"
    )
    assert tuple(row or ()) == (CLICKS, CLICKS * POINTS, CLICKS)
    await owner.close()


@pytest.mark.parametrize("taken", ["REWARDS_PORT", "REWARDS_OPERATOR_PORT"])
def test_a_taken_port_is_one_sentence(several: Several, taken: str) -> None:
    environ = running.environ(Path(several.environ["REWARDS_DATA_DIR"]), database_url=several.database.application_url)
    finished = running.run(environ | {taken: several.environ[taken]}, "serve", "--processes", "2")
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"Error: Cannot listen on 127.0.0.1 port {several.environ[taken]}")
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_each_finishes_what_it_has_accepted_when_its_supervisor_stops_or_is_gone(
    several: Several, number: signal.Signals
) -> None:
    environ = running.environ(Path(several.environ["REWARDS_DATA_DIR"]), database_url=several.database.application_url)
    process = running.start(environ, "serve", "--processes", "2")
    port = int(environ["REWARDS_PORT"])
    running.wait_ready(environ["REWARDS_OPERATOR_PORT"])
    pids = children(process.pid)
    message = f"late-{number.name}"
    event = {"campaign": "autumn", "message_id": message, "customer": {"id": message}, "action": "click", "channel": "sms"}
    body = msgspec.json.encode(event)
    head = (
        f"POST /v1/grants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {several.keys['messaging']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.ExitStack() as opened:
        asking = [opened.enter_context(socket.create_connection(("127.0.0.1", port), WITHIN_S)) for _ in range(CONNECTIONS)]
        for each in asking:
            each.sendall(head.encode() + body[:10])
        for each in connected(port):  # so what came before has been read
            each.close()
        process.send_signal(number)
        deadline = time.monotonic() + WITHIN_S
        while not refuses(port):
            assert time.monotonic() < deadline
        for each in asking:
            each.sendall(body[10:])
        assert {each.recv(4096)[9:12] for each in asking} <= {b"200", b"201"}
    while any(lives(pid) for pid in pids):
        assert time.monotonic() < deadline, "they end by themselves"
        time.sleep(0.02)
    said = process.communicate(timeout=WITHIN_S)[0]
    assert process.returncode == (0 if number == signal.SIGTERM else -number)
    assert "Traceback" not in said


def refuses(port: int) -> bool:
    """Whether nobody listens: a connection that nobody accepts is none that is refused."""
    try:
        socket.create_connection(("127.0.0.1", port), WITHIN_S).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was in the queue of one that stops
    return False


def test_nobody_is_sent_where_a_process_waits_to_be_started_again() -> None:
    with listen_locally() as listening:
        port = listening.getsockname()[1]
        child = Child("api", lambda _: None, listening=[listening])
        for waits in (False, True):
            child.note_start(0, os.open(os.devnull, os.O_RDONLY), time.monotonic())
            child.note_end(time.monotonic())
            assert (child.due_at > time.monotonic()) is waits
            assert refuses(port) is waits
        listening.listen()  # as its successor does
        assert not refuses(port)


async def test_an_answer_that_comes_late_is_not_taken_for_the_newest() -> None:
    asked_again = asyncio.Event()
    answers = iter([said(started_at=100, requests=30), said(started_at=200, requests=1), said(started_at=200, requests=1)])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        text = next(answers).encode()
        if b"_start_time_seconds 100.0" in text:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked_again.wait(), 0.3)
        else:
            asked_again.set()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        processes = ApiProcesses([server.sockets[0].getsockname()])
        first = asyncio.create_task(processes.count())
        await asyncio.gather(first, processes.count())
        text = (await processes.count()).decode()
    assert 'rewards_http_requests_total{status="200"} 31.0' in text
    assert "rewards_process_restarts_total 1.0" in text


ENDS_AT_ONCE = """
import os, sys
from service.cli.serve import supervisor

supervisor.WAIT_S = 0.001

def work(supervised):
    if sys.argv[1] == "started":
        supervised.started()
    os._exit(3)

with supervisor.socket.create_server(("127.0.0.1", 0)) as listening:
    work = supervisor.Supervisor([supervisor.Child("api 1", work, listening=[listening])], parent=None).run()
    if work is not None:
        work()
"""


@pytest.mark.parametrize(("starts", "said"), [("started", "end as soon as they are started"), ("never", "")])
def test_what_cannot_run_is_given_up(starts: str, said: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", ENDS_AT_ONCE, starts], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert (finished.returncode != 0, said in finished.stderr) == (True, True)
    assert finished.stdout.count("process_ended") == (5 if starts == "started" else 0)
