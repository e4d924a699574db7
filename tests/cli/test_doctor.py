"""`rewards doctor`: what is right, what is wrong and what to do about it, on one line each."""

from __future__ import annotations

import http.server
import re
import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from service.cli.doctor import machine
from service.cli.doctor.finding import Verdict
from service.cli.doctor.postgres import place
from service.settings import Settings, create_secrets
from tests.cli import running
from tests.conftest import Database


@pytest.fixture
async def stranger(database: Database, owner: asyncpg.Connection[Any]) -> AsyncGenerator[str]:
    """The URL of a login that may take none of the service's roles."""
    login = f"stranger_{secrets.token_hex(4)}"
    await owner.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'secret'")
    yield (
        urlsplit(database.owner_url)
        ._replace(netloc=f"{login}:secret@{urlsplit(database.owner_url).netloc.partition('@')[2]}")
        .geturl()
    )
    await owner.execute(f"DROP ROLE {login}")


class Report(msgspec.Struct):
    """What `--json` prints."""

    ok: bool
    findings: list[dict[str, str]]

    def of(self, verdict: str) -> dict[str, str]:
        """What has this verdict, and what is said of it."""
        return {finding["name"]: finding["says"] for finding in self.findings if finding["verdict"] == verdict}


@pytest.fixture
def environment(tmp_path: Path, database: Database) -> Mapping[str, str]:
    create_secrets(tmp_path / "secrets.json")
    return running.environ(
        tmp_path,
        database_url=database.application_url,
        owner_database_url=database.owner_url,
        base_url="https://rewards.example",
        trusted_proxies="192.0.2.1",
    )


def report(environment: Mapping[str, str]) -> Report:
    """What the doctor says, which it also says by its exit code."""
    finished = running.run(environment, "doctor", "--json")
    assert finished.stderr == ""
    said = msgspec.json.decode(finished.stdout, type=Report)
    assert finished.returncode == (0 if said.ok else 1)
    assert said.ok is not bool(said.of("wrong"))
    return said


def test_a_sound_installation_is_told_on_one_line_for_each_thing(environment: Mapping[str, str]) -> None:
    finished = running.run(environment, "doctor")
    assert (finished.returncode, finished.stderr) == (0, "")
    said = {line[8:21].strip(): line for line in finished.stdout.splitlines()}
    assert said.keys() >= {"python", "secrets", "data", "spool", "port", "address", "database", "commits", "schema", "roles"}
    assert {line[:6].strip() for line in finished.stdout.splitlines()} <= {"ok", "advice"}
    for name in ("secrets", "port", "address", "database", "commits", "login", "owner", "roles", "schema"):
        assert said[name].startswith("ok "), said[name]
    assert "PostgreSQL 1" in said["database"]
    assert "link key" in said["secrets"]
    # The server of the tests is a small one.
    assert "shared_buffers is 64MB" in finished.stdout


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://me:s%40cret@db:5432/books", "db:5432/books"),
        ("postgresql://me:s%40cret@%2Frun%2FMine:5432/books", "/run/Mine:5432/books"),
        ("postgresql://me:s%40cret@/books?host=/run/Mine", "/run/Mine/books"),
    ],
)
def test_where_the_database_is_can_be_read(url: str, told: str) -> None:
    assert place(url) == told


def test_the_page_for_operators_has_every_finding(environment: Mapping[str, str]) -> None:
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    rows = re.findall(r"^\| (`[^|]+`) \|", page.partition("| finding | about |")[2].partition("\n\n")[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {finding["name"] for finding in report(environment).findings} | {"settings"}


def test_a_secrets_file_that_others_can_read_is_wrong(environment: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "secrets.json").chmod(0o644)
    assert "chmod 600" in report(environment).of("wrong")["secrets"]
    (tmp_path / "secrets.json").unlink()
    assert "rewards secrets create" in report(environment).of("wrong")["secrets"]


def test_a_setting_that_cannot_be_read_is_named(environment: Mapping[str, str]) -> None:
    said = report({**environment, "REWARDS_PORT": "http"})
    assert "REWARDS_PORT" in said.of("wrong")["settings"]
    assert len(said.findings) == 2


def test_a_database_that_is_away_is_wrong_and_the_machine_is_looked_at(environment: Mapping[str, str]) -> None:
    said = report({**environment, "REWARDS_DATABASE_URL": f"postgresql://a:b@127.0.0.1:{running.free_port()}/x"})
    assert said.of("wrong").keys() == {"database"}
    assert "secrets" in said.of("ok")
    without = {name: value for name, value in environment.items() if not name.endswith("DATABASE_URL")}
    assert "REWARDS_DATABASE_URL" in report(without).of("wrong")["database"]


async def test_a_database_that_is_not_migrated_is_told_to_be(
    environment: Mapping[str, str], create_database: Callable[..., Any]
) -> None:
    empty: Database = await create_database(template=None)
    said = report({**environment, "REWARDS_DATABASE_URL": empty.application_url, "REWARDS_OWNER_DATABASE_URL": ""})
    assert said.of("wrong").keys() == {"schema"}
    assert "rewards migrate" in said.of("wrong")["schema"]


@pytest.mark.own_database("takes a right away")
async def test_rights_that_are_missing_are_wrong(environment: Mapping[str, str], owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("REVOKE SELECT ON rewards.brand FROM rewards_application")
    wrong = report(environment).of("wrong")
    assert wrong.keys() == {"schema"}
    assert "rewards migrate" in wrong["schema"]


@pytest.mark.own_database("changes its settings")
async def test_commits_that_could_be_lost_are_wrong(
    environment: Mapping[str, str], database: Database, owner: asyncpg.Connection[Any]
) -> None:
    await owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    wrong = report(environment).of("wrong")
    assert wrong.keys() == {"commits"}
    assert "synchronous_commit=off" in wrong["commits"]


def test_a_login_that_cannot_take_the_roles_is_told_to_migrate(environment: Mapping[str, str], stranger: str) -> None:
    wrong = report({**environment, "REWARDS_DATABASE_URL": stranger}).of("wrong")
    assert wrong.keys() == {"roles"}
    assert "rewards migrate" in wrong["roles"]


def test_a_superuser_is_told_to_give_the_service_a_login_of_its_own(environment: Mapping[str, str], database: Database) -> None:
    assert "superuser" in report({**environment, "REWARDS_DATABASE_URL": database.owner_url}).of("advice")["login"]


def test_a_port_that_another_program_has_is_wrong(environment: Mapping[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["REWARDS_PORT"]))):
        assert "REWARDS_PORT" in report(environment).of("wrong")["port"]


@pytest.fixture
def alive() -> Generator[int]:
    """The port of a server that answers as ours does when it is alive."""

    class Alive(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"ok","warnings":[]}')

    with http.server.HTTPServer(("127.0.0.1", 0), Alive) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_port_on_which_the_service_runs_is_not(alive: int) -> None:
    (port, *_) = (each for each in machine.examine(Settings(port=alive)) if each.name == "port")
    assert (port.verdict, port.says) == (Verdict.OK, f"127.0.0.1:{alive}, where the service runs")


@pytest.mark.parametrize(
    ("base_url", "proxies", "says"),
    [
        ("http://127.0.0.1:8080", "", "this machine alone"),
        ("http://rewards.example", "", "TLS"),
        ("https://rewards.example", "", "REWARDS_TRUSTED_PROXIES"),
    ],
)
def test_an_address_that_customers_cannot_use_well_gets_advice(base_url: str, proxies: str, says: str) -> None:
    findings = machine.examine(Settings(base_url=base_url, trusted_proxies=proxies, port=0, operator_port=0))
    (address,) = (each for each in findings if each.name == "address")
    assert address.verdict is Verdict.ADVICE
    assert says in address.says
