"""A copy of the prepared server is a server of its own, and knows nothing of where it was made."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests.conftest import RUN, reachable_directory
from tests.prepared_postgres import prepare
from tests.storage.embedded_postgres_walk import run


@pytest.fixture
def directory() -> Generator[Path]:
    with reachable_directory() as directory:
        yield directory


def test_copies_run_beside_each_other_each_in_its_own_place(directory: Path) -> None:
    servers = [EmbeddedPostgres(prepare(directory / name), small=True) for name in ("one", "two")]
    ports = [server.port for server in servers]
    assert len(set(ports)) == 2
    for server in servers:
        assert server.start() is False
    assert [server.port for server in servers] == ports
    run(servers[0], "CREATE TABLE note (text text)")
    for server, tables in zip(servers, (1, 0), strict=True):
        assert run(server, "SHOW data_directory") == str(server.directory / "data")
        assert run(server, "SELECT count(*) FROM pg_tables WHERE tablename = 'note'") == tables
        assert run(server, "SELECT count(*) FROM rewards.alembic_version") == 1


def test_no_copy_says_where_it_was_made_or_who_made_it(directory: Path) -> None:
    prepare(directory / "postgres")
    assert {path.name for path in (directory / "postgres").iterdir()} == {"data", "server.json"}
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert [path for path in files if os.environ[RUN].encode() in path.read_bytes()] == []
