"""What the embedded server is started with: durable, local, and no larger than the machine and its disk."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from service.storage.embedded_postgres import socket_directory
from service.storage.embedded_postgres.address import HOST, Address

GIB = 1024**3
MIB = 1024**2
WAL_BYTES_MIN = 64 * MIB
"""The least that PostgreSQL keeps house with: four files of its log."""


def settings_for(directory: Path, address: Address, *, small: bool) -> dict[str, str]:
    """What the server of ``directory`` is started with."""
    memory = _memory_bytes()
    free = shutil.disk_usage(directory).free
    shared_buffers = 64 * MIB if small else min(max(memory // 4, 32 * MIB), 4 * GIB)
    # A tenth of the room there is: checkpoints come before the log has filled the disk, also on a small one.
    max_wal_size = min(max(free // 10, WAL_BYTES_MIN), GIB if small else 16 * GIB)
    return {
        "listen_addresses": HOST,
        "port": str(address.port),
        "unix_socket_directories": "" if address.tcp_alone_because else _quoted(socket_directory.path_in(directory)),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": f"{shared_buffers // MIB}MB",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        # Few checkpoints: each makes the next write of every page cost a full page of WAL.
        "max_wal_size": f"{max_wal_size // MIB}MB",
        "min_wal_size": f"{min(max_wal_size // 2, 80 * MIB) // MIB}MB",
        # A forgotten replication slot, or one statement's temporary files, must not fill it either.
        "max_slot_wal_keep_size": f"{max_wal_size // MIB}MB",
        "temp_file_limit": f"{max(free // 4, 64 * MIB) // 1024}kB",
        "checkpoint_timeout": "30min",
        "wal_compression": "off",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "on",
        "log_filename": "postgresql-%a.log",
        "log_truncate_on_rotation": "on",
    }


def _quoted(path: Path) -> str:
    """A path as one item of a list."""
    return '"{}"'.format(str(path).replace('"', '""'))


def _memory_bytes() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # a container's own limit; "max" where there is none
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory
