"""What `rewards serve` and `rewards worker` share: where their settings come from, and when they should stop.

As a child of `rewards up` (``--with-parent``) a command reads its settings as one line of JSON from its standard input, so
that it can load while the database is being started, and stops when that input closes: then the parent is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import click
import msgspec

from service.cli.database_settings import load_with_database
from service.settings import Settings

with_parent = click.option("--with-parent", is_flag=True, hidden=True)


def settings_for(*, with_parent: bool) -> Settings:
    """The settings of this process, with a database. Exits in silence when the parent has none to give."""
    if not with_parent:
        return load_with_database()
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    return msgspec.json.decode(line, type=Settings)


def parents_pipe(*, with_parent: bool) -> int | None:
    """What ``stop_event`` takes for the parent of this process."""
    return sys.stdin.fileno() if with_parent else None


def stop_event(parent: int | None) -> asyncio.Event:
    """An event that is set when this process should stop. Call it in the running loop.

    ``parent`` is a file that ends when the parent is gone, if there is one to be gone.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if parent is not None:

        def look() -> None:
            if not os.read(parent, 1):
                loop.remove_reader(parent)
                stop.set()

        loop.add_reader(parent, look)
    return stop
