"""A child process that is restarted when it ends."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from service.cli.up.terminal import say
from service.concurrency.backoff import backoff_s
from service.settings import Settings


class ChildProcess:
    """A `rewards` command in a process of its own."""

    def __init__(self, command: str, title: str, log: Path) -> None:
        self.title = title
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments = [sys.executable, "-m", "service.cli.main", command, "--with-parent"]
        self._started_at = 0.0
        self._quick_exits = 0

    def start(self) -> None:
        """Start the process; it loads, and waits for its settings."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for us alone; we stop the children in order.
                process_group=0,
            )
        self._started_at = time.monotonic()

    def send_settings(self, settings: Settings) -> None:
        """Hand over the settings, without the owner's password."""
        line = msgspec.json.encode(msgspec.structs.replace(settings, owner_database_url="")) + b"\n"
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(line)
                self.process.stdin.flush()

    def restart_if_ended(self, settings: Settings) -> None:
        """Restart the process if it has ended; the quicker it ends, the longer the wait."""
        if self.process is None or self.process.poll() is None:
            return
        lived_s = time.monotonic() - self._started_at
        wait_s = backoff_s(self._quick_exits + 1, first_s=0.5, max_s=10.0)
        if lived_s < wait_s:
            return
        self._quick_exits = self._quick_exits + 1 if lived_s < 20 else 0
        say(f"{self.title} ended ({_how_it_ended(self.process.returncode)}); starting it again. Its log: {self.log}")
        self.start()
        self.send_settings(settings)

    def terminate(self) -> None:
        """Ask the process to stop."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait for the process to end; kill it at the deadline."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def _how_it_ended(status: int) -> str:
    return f"exit code {status}" if status >= 0 else signal.Signals(-status).name
