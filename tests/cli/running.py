"""Programs under test: commands of ours as processes, and what they need."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cli.preloaded import run

__all__ = ["command", "environ", "free_port", "get", "run", "start", "wait_ready"]

_given: set[int] = set()
"""Ports that tests of this process were given, and may not listen on yet."""


def command(*arguments: str) -> list[str]:
    """How to run `rewards` with these arguments."""
    return [sys.executable, "-m", "service.cli.main", *arguments]


def environ(data_dir: Path, **settings: object) -> dict[str, str]:
    """An environment with these settings and ports of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("REWARDS_")}
    given = {"port": free_port(), "operator_port": free_port(), "data_dir": data_dir, **settings}
    return {**inherited, **{f"REWARDS_{name.upper()}": str(value) for name, value in given.items()}}


def start(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start `rewards`; both its outputs come back as one."""
    return subprocess.Popen(
        command(*arguments),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def get(port: int | str, path: str) -> http.client.HTTPResponse | None:
    """GET from this machine; None when nobody answers. The body is read."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return response


def wait_ready(port: int | str, *, within_s: float = 30) -> None:
    """Return when the API is ready."""
    deadline = time.monotonic() + within_s
    while (answer := get(port, "/health/ready")) is None or answer.status != 200:
        assert time.monotonic() < deadline, "not ready in time"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on and nobody was given, below those that outgoing connections take."""
    while True:
        port = random.randint(12_000, 19_999)
        with socket.socket() as probe:
            if port not in _given and probe.connect_ex(("127.0.0.1", port)):
                _given.add(port)
                return port
