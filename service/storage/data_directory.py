"""Having a data directory for oneself, for as long as a process lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from service.settings import SettingsError


@contextlib.contextmanager
def alone(data: Path, what: str) -> Generator[int]:
    """Hold the data directory. Raises `SettingsError` when another process does, with ``what`` that said of itself.

    Gives the file that is locked: a child that inherits it holds the directory too, should we be killed.
    """
    with os.fdopen(os.open(data / "up.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"{lock.read().strip()}; REWARDS_DATA_DIR chooses another directory") from None
        # A full disk does not take the words; the lock holds without.
        with contextlib.suppress(OSError):
            os.truncate(lock.fileno(), 0)
            os.write(lock.fileno(), f"{what} as process {os.getpid()}\n".encode())
        yield lock.fileno()
