"""A disk of a few hundred megabytes, which a test may fill."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

MIB = 1024**2


class SmallDisk:
    """A file system in memory, mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave not a byte, nor a file that PostgreSQL empties when it starts."""
        for log in self.path.rglob("start.log"):
            os.truncate(log, 0)
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(MIB)):
                pass
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(512)):
                pass

    def leave(self, room: int) -> None:
        """Fill it but for so many bytes."""
        self.fill()
        os.truncate(self._ballast, self._ballast.stat().st_size - room)

    def make_room(self) -> None:
        """Free what ``fill`` took."""
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(at: Path, size: int) -> Generator[SmallDisk]:
    """Mount one; skipped where nobody may mount."""
    at.mkdir()
    options = f"size={size},mode=0711"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", at], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here: run the tests as root, in a container with CAP_SYS_ADMIN")
    try:
        yield SmallDisk(at)
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)
