"""An embedded PostgreSQL as its first start and the first migration leave it: made once a run, and copied for each test.

Making one takes four seconds of a processor, a copy less than one. A test of the making itself starts in an empty directory;
so does one of a full disk, because a copy has files of PostgreSQL's log in reserve, with which it gets by without room.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from service.settings import replace_private
from service.storage.embedded_postgres import address
from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests.cli import running
from tests.conftest import RUN


def prepare(directory: Path) -> Path:
    """Put one where `EmbeddedPostgres(directory)` finds it; returns ``directory``. From a coroutine, call it in a thread.

    It has a port of its own. Outside a run of pytest nothing is put there, and the server makes its data itself.
    """
    if run := os.environ.get(RUN):
        there = EmbeddedPostgres(directory).directory
        subprocess.run(["cp", "-a", "--reflink=auto", f"{_made_once(Path(run))}/.", there], check=True)
        _with_port(there, running.free_port())
    return directory


def prepared_environ(data_dir: Path, **settings: object) -> dict[str, str]:
    """`running.environ` for a `rewards up` that finds its PostgreSQL made and migrated."""
    prepare(data_dir / "postgres")
    return running.environ(data_dir, **settings)


def _made_once(run: Path) -> Path:
    made = run / "prepared" / "postgres"
    with (run / "prepared.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.parent.mkdir(exist_ok=True)
            made.parent.chmod(0o711)  # as `reachable_directory`
            _make(made.with_name("unfinished")).rename(made)
    return made


def _make(directory: Path) -> Path:
    from service.cli.migrate import migrate

    postgres = EmbeddedPostgres(directory, small=True)
    postgres.start()
    try:
        asyncio.run(migrate(postgres.owner_url, postgres.application_url))
    finally:
        postgres.stop()
    _forget_where(directory)
    return directory


def _forget_where(directory: Path) -> None:
    """Remove what tells of the server that made it. The server's next start makes all of it."""
    for folder in ("socket", "data/log"):
        shutil.rmtree(directory / folder)
    for file in ("lock", "running", "start.log", "data/postmaster.opts"):
        (directory / file).unlink()


def _with_port(directory: Path, port: int) -> None:
    kept = msgspec.structs.replace(address.read(directory), port=port)
    replace_private(directory / "server.json", msgspec.json.encode(kept))
