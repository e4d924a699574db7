"""PostgreSQL's own programs: which is taken, and what others on the machine can see of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.storage.postgres_programs import PostgresToolFailed, find_tool, run_tool


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(PostgresToolFailed, match=r"pg_dump of PostgreSQL 99 .*apt-get install postgresql-client-99"):
        find_tool("pg_dump", at_least=99)


def test_the_oldest_that_is_new_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "pg_dump", 'echo "pg_dump (PostgreSQL) 97.1"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_tool("pg_dump", at_least=97) == (tmp_path / "pg_dump", 97)
    assert find_tool("pg_dump", at_least=18)[1] == 18


TCP = "postgresql://me@127.0.0.1:5432/books?sslmode=prefer"
SOCKET = "postgresql://me@%2Frun%2FMine:5432/books"
SOCKET_AS_OPTION = "postgresql://me@/books?host=/run/Mine&port=5432"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://me:s%40cret@127.0.0.1:5432/books?sslmode=prefer", TCP),
        ("postgresql://me@127.0.0.1:5432/books?password=s%40cret&sslmode=prefer", TCP),
        ("postgresql://me@127.0.0.1:5432/books?sslmode=prefer&pass%77ord=s%40cret", TCP),
        ("postgresql://me:s%40cret@%2Frun%2FMine:5432/books", SOCKET),
        ("postgresql://me:s%40cret@/books?host=/run/Mine&port=5432", SOCKET_AS_OPTION),
    ],
)
def test_the_password_is_in_the_environment_and_not_on_the_command_line(tmp_path: Path, url: str, address: str) -> None:
    program = _program(tmp_path / "tool", 'echo "arguments: $*, password: $PGPASSWORD" >&2; exit 3')
    with (tmp_path / "held").open("w") as held, pytest.raises(PostgresToolFailed) as failed:
        run_tool(program, url, "--one", keep_open=held.fileno())
    said = f"arguments: --dbname={address} --one, password: s@cret"
    assert str(failed.value) == f"tool failed: {said}"
