"""When a long-running command should stop: on SIGINT or SIGTERM, or when the program that started it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import click

# Given by `rewards up` to its children: their standard input is then a pipe whose other end only it holds.
with_parent = click.option("--with-parent", is_flag=True, hidden=True)


def stop_event(*, with_parent: bool) -> asyncio.Event:
    """An event that is set when this process should stop. Call it in the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if with_parent:

        def look() -> None:
            if not os.read(sys.stdin.fileno(), 1):
                loop.remove_reader(sys.stdin.fileno())
                stop.set()

        loop.add_reader(sys.stdin.fileno(), look)
    return stop
