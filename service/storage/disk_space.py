"""How much room there is on the disks that this process writes to, or whose database does: told before it is too late."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from service.observability import metrics

LOW_BYTES = 1024**3
LOW_SHARE = 0.1


class FreeSpace(msgspec.Struct, frozen=True):
    """How much of a disk is free for us, of how much."""

    free: int
    size: int

    @property
    def is_low(self) -> bool:
        """Less than a gigabyte and less than a tenth of it."""
        return self.free < min(LOW_BYTES, int(self.size * LOW_SHARE))


def room(path: Path) -> FreeSpace | None:
    """The room on the disk that ``path`` is on, or will be on when it is made; ``None`` when the disk does not say."""
    with contextlib.suppress(OSError, ValueError):
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        status = os.statvfs(there)
        return FreeSpace(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)
    return None


def measure(directories: Mapping[str, Path]) -> None:
    """Have the room of each directory's disk among the metrics, as it is when they are read."""
    for name, path in directories.items():
        metrics.disk_free_bytes.labels(name).set_function(lambda path=path: (room(path) or FreeSpace(0, 0)).free)
        metrics.disk_size_bytes.labels(name).set_function(lambda path=path: (room(path) or FreeSpace(0, 0)).size)


def warnings(directories: Mapping[str, Path]) -> tuple[str, ...]:
    """A sentence for each disk that is nearly full. It names the directory by what it is for, not where it is."""
    rooms = {name: found for name, path in directories.items() if (found := room(path)) is not None}
    return tuple(
        f"The disk of the {name} directory is nearly full: {found.free // 1024**2:,} of {found.size // 1024**2:,} MiB are free."
        for name, found in rooms.items()
        if found.is_low
    )
