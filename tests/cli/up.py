"""A `rewards up` under test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import running

Environ = dict[str, str]
READY_WITHIN_S = 60


class Up:
    """A `rewards up` that has said that it is up."""

    def __init__(self, environ: Environ, *options: str) -> None:
        self.environ = environ
        self.process = running.start(environ, "up", *options)
        self.said: list[str] = []
        self.hear("Up after")

    def hear(self, beginning: str) -> None:
        """Wait for a line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith(beginning):
                return
        pytest.fail(f"It ended, and had said: {''.join(self.said)}")

    @property
    def demo(self) -> dict[str, Any]:
        return json.loads((Path(self.environ["REWARDS_DATA_DIR"]) / "demo.json").read_bytes())

    def child(self, name: str) -> int:
        """The pid of one of its commands."""
        pids = children(self.process.pid)
        return next(pid for pid in pids if name in Path(f"/proc/{pid}/cmdline").read_text().split("\0"))

    def wait_ready(self) -> None:
        """Return when all API processes are ready, however long the machine takes for it."""
        running.wait_ready(self.environ["REWARDS_OPERATOR_PORT"], within_s=READY_WITHIN_S)

    def kill(self, name: str) -> None:
        """`kill -9` one of its commands, with all processes of it."""
        pid = self.child(name)
        for each in (pid, *children(pid)):
            os.kill(each, signal.SIGKILL)

    def postmaster(self) -> int:
        data = Path(self.environ["REWARDS_DATA_DIR"]) / "postgres" / "data"
        return int((data / "postmaster.pid").read_text().split()[0])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        api = self.child("serve")
        pids = [self.process.pid, api, *children(api), self.child("worker"), self.postmaster()]
        self.process.send_signal(number)
        assert self.process.wait(30) == 0
        assert [pid for pid in pids if lives(pid)] == []


@contextlib.contextmanager
def second_of_each(up: Up) -> Generator[str]:
    """A second API and a second worker beside those of ``up``, on its database; gives the second API's address."""
    address = {
        "REWARDS_PORT": str(running.free_port()),
        "REWARDS_OPERATOR_PORT": str(running.free_port()),
        "REWARDS_BASE_URL": up.demo["base_url"],
    }
    with (Path(up.environ["REWARDS_DATA_DIR"]) / "second.log").open("ab") as log:
        programs = [
            subprocess.Popen(running.command(name), env=up.environ | address, stdout=log, stderr=log)
            for name in ("serve", "worker")
        ]
        try:
            running.wait_ready(address["REWARDS_PORT"])
            yield f"http://127.0.0.1:{address['REWARDS_PORT']}"
        finally:
            for program in programs:
                program.terminate()
            assert [program.wait(30) for program in programs] == [0, 0]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    """Whether the process runs; one that ended, and whose new parent has not looked yet, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
