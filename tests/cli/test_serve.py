"""`rewards serve` and `rewards worker` as processes: what they listen on, what they say, how they end."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.settings import create_secrets, load
from tests.cli import running
from tests.conftest import Database

Environ = dict[str, str]


@pytest.fixture
def environ(database: Database, tmp_path: Path) -> Environ:
    create_secrets(tmp_path / "secrets.json")
    return running.environ(tmp_path, database_url=database.application_url)


@contextlib.contextmanager
def serving(environ: Environ) -> Generator[Environ]:
    process = running.start(environ, "serve")
    running.wait_ready(environ["REWARDS_PORT"])
    yield environ
    process.terminate()
    assert process.wait(15) == 0


@pytest.fixture
def api(environ: Environ) -> Generator[Environ]:
    """An API whose connections the test may use up."""
    with serving(environ):
        yield environ


@pytest.fixture(scope="module")
async def asked(create_database: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Environ]:
    """An API that several tests only ask something."""
    directory = tmp_path_factory.mktemp("asked")
    create_secrets(directory / "secrets.json")
    database: Database = await create_database()
    with serving(running.environ(directory, database_url=database.application_url)) as environ:
        yield environ


def test_metrics_are_the_operators_alone(asked: Environ) -> None:
    public, operator = asked["REWARDS_PORT"], asked["REWARDS_OPERATOR_PORT"]
    statuses = {
        (port, path): answer.status
        for port in (public, operator)
        for path in ("/health/live", "/health/ready", "/metrics", "/v1/meta")
        if (answer := running.get(port, path)) is not None
    }
    assert statuses[operator, "/metrics"] == 200
    assert statuses[public, "/metrics"] == 404
    assert statuses[operator, "/v1/meta"] == 404
    assert statuses[operator, "/health/ready"] == statuses[public, "/health/ready"] == 200


@pytest.mark.parametrize("port", ["REWARDS_PORT", "REWARDS_OPERATOR_PORT"])
def test_neither_port_takes_heads_bodies_or_connections_without_a_bound(api: Environ, port: str) -> None:
    def status_of(*said: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", int(api[port])), 30) as connection:
            connection.sendall(b"\r\n".join(said))
            return connection.recv(4096)[9:12]

    live = b"GET /health/live HTTP/1.1\r\nHost: x"
    assert status_of(live, b"", b"") == b"200"
    assert status_of(live, *[b"X: y"] * 100, b"", b"") == b"431"
    assert status_of(live, b"X: " + b"x" * 400_000) == b"431"
    assert status_of(live, b"Content-Length: 67108864", b"", b"") == b"413"
    with contextlib.ExitStack() as opened:
        others = [opened.enter_context(socket.create_connection(("127.0.0.1", int(api[port])), 30)) for _ in range(200)]
        others[0].sendall(b"\r\n".join([live, b"", b""]))
        assert others[0].recv(4096)[9:12] == b"200"
        if port == "REWARDS_OPERATOR_PORT":
            assert others[-1].recv(4096) == b""


def test_health_is_told_by_its_status_alone_where_that_is_asked_for(asked: Environ) -> None:
    for port in (asked["REWARDS_PORT"], asked["REWARDS_OPERATOR_PORT"]):
        for path in ("/health/live", "/health/ready"):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
                connection.request("HEAD", path)
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b""), path


def test_a_stranger_who_announces_much_and_sends_nothing_keeps_nobody_out(api: Environ) -> None:
    port = int(api["REWARDS_PORT"])
    head = "POST /v1/claims HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\nContent-Length: {}\r\n\r\n"
    with contextlib.ExitStack() as opened:

        def say(length: int) -> socket.socket:
            stranger = opened.enter_context(socket.create_connection(("127.0.0.1", port), 30, ("127.0.0.2", 0)))
            stranger.sendall(head.format(length).encode())
            return stranger

        announced = say(64 * 1024 * 1024)
        assert announced.recv(12) == b"HTTP/1.1 413"
        waiting = [say(4_096) for _ in range(100)]
        for path in ("/health/live", "/health/ready"):
            answer = running.get(port, path)
            assert answer is not None
            assert answer.status == 200
        answer = running.get(port, "/r/x")
        assert answer is not None
        assert answer.status == 404
        # The process looks at its connections by itself.
        assert waiting[0].recv(12) == b"HTTP/1.1 408"


def test_it_does_not_say_what_it_is_made_of(asked: Environ) -> None:
    answer = running.get(asked["REWARDS_PORT"], "/health/live")
    assert answer is not None
    assert answer.getheader("server") is None


def test_a_taken_port_is_named(asked: Environ) -> None:
    finished = running.run(asked, "serve")
    assert finished.returncode == 1
    assert finished.stderr.startswith("Error: Cannot listen on 127.0.0.1 port " + asked["REWARDS_PORT"])
    assert "REWARDS_PORT" in finished.stderr


@pytest.mark.parametrize("program", ["serve", "worker"])
def test_a_child_stops_when_its_parent_is_gone(environ: Environ, program: str) -> None:
    process = running.start(environ, program, "--with-parent")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(load(environ)).decode() + "\n")
    process.stdin.flush()
    assert "started" in process.stdout.readline()
    process.stdin.close()
    assert process.wait(15) == 0


@pytest.mark.parametrize("program", ["serve", "worker"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_order(environ: Environ, program: str, number: signal.Signals) -> None:
    process = running.start(environ, program)
    assert process.stdout is not None
    assert "started" in process.stdout.readline()
    process.send_signal(number)
    rest = process.communicate(timeout=15)[0]
    assert process.returncode == 0
    assert "Traceback" not in rest


def test_without_a_database_it_says_what_to_do(tmp_path: Path) -> None:
    finished = running.run(running.environ(tmp_path), "serve")
    assert (finished.returncode, finished.stderr) == (
        1,
        "Error: There is no database: set REWARDS_DATABASE_URL, or start the embedded one with `rewards up`\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_without_secrets_it_says_what_to_do(database: Database, tmp_path: Path) -> None:
    finished = running.run(running.environ(tmp_path, database_url=database.application_url), "serve")
    assert finished.returncode == 1
    assert "rewards secrets create" in finished.stderr


def test_while_the_database_is_away_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    create_secrets(tmp_path / "secrets.json")
    with socket.socket() as nobody:  # bound, and not listening: refuses every connection
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://rewards:x@127.0.0.1:{nobody.getsockname()[1]}/rewards"
        environ = running.environ(tmp_path, database_url=url)
        process = running.start(environ, "serve")
        assert process.stdout is not None
        process.stdout.readline()
        live = ready = None
        while live is None or ready is None:
            live, ready = (running.get(environ["REWARDS_PORT"], f"/health/{what}") for what in ("live", "ready"))
        assert (live.status, ready.status) == (200, 503)
        assert ready.getheader("retry-after")
        process.terminate()
        assert process.wait(15) == 0
