"""The life of an embedded server as one program, so that any user can run it: prints ``done`` when all went as it should."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg

from service.storage.embedded_postgres.server import EmbeddedPostgres


async def _with(server: EmbeddedPostgres, statement: str, *arguments: Any) -> Any:
    connection = await asyncpg.connect(server.owner_url)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()


def run(server: EmbeddedPostgres, statement: str, *arguments: Any) -> Any:
    """Run one statement as the superuser; its first value."""
    return asyncio.run(_with(server, statement, *arguments))


def kill_9(server: EmbeddedPostgres) -> int:
    """Kill the postmaster; its pid."""
    pid = server._postmaster()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def walk(directory: Path) -> None:
    """Start, find, stop, start, kill, start over a stale pid, stop."""
    server = EmbeddedPostgres(directory, small=True)
    assert server.start() is False, "nothing was there to be found"
    run(server, "CREATE TABLE note (text text)")
    run(server, "INSERT INTO note VALUES ('before the stop')")

    again = EmbeddedPostgres(directory, small=True)
    assert again.start() is True, "the second start finds the first"
    assert again.owner_url == server.owner_url
    again.stop()
    assert not server.running(), "whoever stops it, it is stopped"

    began = time.monotonic()
    assert server.start() is False
    assert time.monotonic() - began < 5
    run(server, "INSERT INTO note VALUES ('before the kill')")
    kill_9(server)

    # The number that the killed server left behind may be anybody's by now: here it is ours.
    while server.running():
        time.sleep(0.01)
    pid_file = directory / "data" / "postmaster.pid"
    _, rest = pid_file.read_text().split("\n", 1)
    pid_file.write_text(f"{os.getpid()}\n{rest}")

    assert server.start() is False
    assert run(server, "SELECT string_agg(text, ', ') FROM note") == "before the stop, before the kill"
    server.stop()
    assert not server.running()
    assert not pid_file.exists(), "it was shut down, not killed"


if __name__ == "__main__":
    walk(Path(sys.argv[1]))
    sys.stdout.write("done")
