"""Temporary directories of benchmarks: removed at the end, and by the next run if this one is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from service.storage.embedded_postgres.server import EmbeddedPostgres


@contextlib.contextmanager
def temporary_directory(prefix: str) -> Generator[Path]:
    """A directory into which the server's user gets, too; what killed runs have left behind is removed first.

    After ``prefix`` its name has the pid of who made it.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
        pid = left.name.removeprefix(prefix).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and left.stat().st_uid == os.geteuid():
            for server in (*left.glob("postgres/server.json"), *left.glob("*/postgres/server.json")):
                EmbeddedPostgres(server.parent).stop()
            shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
