"""What goes wrong outside of us is one sentence that says what to do: no traceback, an exit code, and at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from service.cli.main import COMMANDS
from tests.cli import running
from tests.conftest import Database
from tests.demo_fixtures import serving_demo

_BRAND = ("--name", "B", "--mode", "test", "--points-code", "PTS", "--points-name", "P", "--currency", "EUR")
ON_A_DATABASE: Mapping[str, tuple[str, ...]] = {
    "migrate": ("migrate",),
    "brand create": ("brand", "create", "b", *_BRAND, "--time-zone", "Europe/Berlin"),
    "brand set-issue-limit": ("brand", "set-issue-limit", "b", "5"),
    "key create": ("key", "create", "b", "--name", "k", "--scope", "keys:write"),
    "key list": ("key", "list", "b"),
    "key made": ("key", "made", "b", "1"),
    "key revoke": ("key", "revoke", "b", "key_1"),
    "approval set-limits": ("approval", "set-limits", "b", "--limit", "campaign.fund:per_request=1"),
    "person invite": ("person", "invite", "b", "--name", "p", "--role", "finance"),
    "person reinvite": ("person", "reinvite", "b", "1"),
    "person list": ("person", "list", "b"),
    "person enrol": ("person", "enrol", "ri_test_" + "A" * 43),
    "person disable": ("person", "disable", "b", "1"),
    "import balances": ("import", "balances", "balances.csv", "--brand", "b", "--rows", "1", "--points", "5"),
    "export": ("export", "--brand", "b", "--out", "books"),
    "audit": ("audit", "--brand", "b"),
    "layers rebuild": ("layers", "rebuild", "b"),
    "backup": ("backup", "kept"),
}
# They wait for a database that is away, and say in their log and by their health that they do.
SERVICES = {"up", "serve", "worker"}
RESTORES = {"restore"}
"""It wants a backup first, and has tests of its own."""
DOCTOR = {"doctor"}
"""What is wrong is what it says, with tests of its own."""
WITHOUT_A_DATABASE = {"secrets", "simulate", "sources"}
WRONG_URLS = {
    "nothing listens": "postgresql://rewards@127.0.0.1:1/rewards",
    "no such host": "postgresql://rewards@nowhere.invalid/rewards",
    "no number for a port": "postgresql://rewards@127.0.0.1:port/rewards",
}


def test_the_walk_knows_every_command() -> None:
    assert {name.split()[0] for name in ON_A_DATABASE} | SERVICES | RESTORES | DOCTOR | WITHOUT_A_DATABASE == set(COMMANDS)


def assert_one_sentence(finished: Any, about: str) -> None:
    assert finished.returncode == 1, f"{about}: {finished.stdout}{finished.stderr}"
    assert finished.stderr.startswith("Error: "), f"{about}: {finished.stderr}"
    assert finished.stderr.count("\n") == 1, f"{about}: {finished.stderr}"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "balances.csv").write_text("id,points\nc-1,5\n")
    monkeypatch.chdir(tmp_path)
    environment = running.environ(tmp_path)
    assert running.run(environment, "secrets", "create").returncode == 0
    return tmp_path


@pytest.mark.parametrize("wrong", WRONG_URLS)
def test_a_database_that_cannot_be_reached(directory: Path, wrong: str) -> None:
    environment = running.environ(directory, database_url=WRONG_URLS[wrong])
    for name, arguments in ON_A_DATABASE.items():
        assert_one_sentence(running.run(environment, *arguments), f"{name}, {wrong}")


def test_no_database_at_all(directory: Path) -> None:
    for name, arguments in ON_A_DATABASE.items():
        finished = running.run(running.environ(directory), *arguments)
        assert_one_sentence(finished, name)
        assert "REWARDS_DATABASE_URL" in finished.stderr


async def test_a_database_that_is_not_migrated(directory: Path, create_database: Callable[..., Any]) -> None:
    empty: Database = await create_database(template=None)
    environment = running.environ(directory, database_url=empty.application_url, owner_database_url=empty.owner_url)
    for name, arguments in ON_A_DATABASE.items():
        if name != "migrate":
            finished = running.run(environment, *arguments)
            assert_one_sentence(finished, name)
            told = ("rewards migrate", "role", "no schema of this service")
            assert any(word in finished.stderr for word in told), f"{name}: {finished.stderr}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--base-url", "http://127.0.0.1:1"), "Nothing answers at http://127.0.0.1:1"),
        (("--base-url", "127.0.0.1:8080"), "Nothing answers at 127.0.0.1:8080"),
        (("--base-url", "http://nowhere.invalid"), "Nothing answers at http://nowhere.invalid"),
        (("--base-url", "http://[::1"), "http://[::1 of --base-url is not a URL"),
        (("--base-url", "http://127.0.0.1:99999"), "there is no port 99999"),
    ],
)
def test_simulated_traffic_to_nobody(directory: Path, options: tuple[str, ...], says: str) -> None:
    given = ("--key", "rk_test_x", "--campaign", "c")
    finished = running.run(running.environ(directory), "simulate", *options, *given)
    assert_one_sentence(finished, options[1])
    assert says in finished.stderr
    assert "--base-url" in finished.stderr


@pytest.mark.parametrize("key", ["rk_tést", "rk_test\nx"])
def test_simulated_traffic_with_what_is_no_key(directory: Path, key: str) -> None:
    to = ("--base-url", "http://127.0.0.1:1", "--campaign", "c")
    finished = running.run(running.environ(directory), "simulate", *to, "--key", key)
    assert_one_sentence(finished, key)
    assert "--key" in finished.stderr


@pytest.mark.parametrize("command", ["", "up", "brand create", "import balances"])
def test_every_command_explains_itself_in_short(directory: Path, command: str) -> None:
    short = running.run(running.environ(directory), *command.split(), "-h")
    assert (short.returncode, short.stderr) == (0, "")
    assert short.stdout == running.run(running.environ(directory), *command.split(), "--help").stdout


def test_simulated_traffic_to_somebody_else(directory: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        finished = running.run(running.environ(directory), "simulate", "--base-url", url, "--key", "x", "--campaign", "c")
        server.shutdown()
    assert_one_sentence(finished, "somebody else")
    assert "is not this API" in finished.stderr


async def test_simulated_traffic_with_a_key_that_may_not(directory: Path, database: Database, tmp_path: Path) -> None:
    async with serving_demo(database, tmp_path) as demo:
        environment = running.environ(directory)
        to = ("simulate", "--base-url", demo.base_url, "--events", "50", "--rate", "0")
        for key, says in {"rk_test_wrong": "unauthorized", demo.keys["finance"]: "grants:write"}.items():
            finished = await asyncio.to_thread(running.run, environment, *to, "--key", key)
            assert_one_sentence(finished, says)
            assert says in finished.stderr
        unknown = await asyncio.to_thread(running.run, environment, *to, "--campaign", "nothing")
        assert "unknown_campaign (" in unknown.stdout
