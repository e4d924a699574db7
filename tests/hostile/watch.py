"""Looks at a service while others torment it, from a process of its own: `python -m tests.hostile.watch PORT PID`.

Prints a line of JSON for each look: how long liveness took, how much of that two processes waited for a processor
(a busy machine makes all late), and what readiness says. It ends when its input does.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import sys
import time
from pathlib import Path

EVERY_S = 0.05


def main() -> None:
    """Look until the input ends."""
    port, service = (int(argument) for argument in sys.argv[1:])
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        waited_s = waited_for_a_processor_s(service) + waited_for_a_processor_s(os.getpid())
        live, took_s = _ask(port, "/health/live")
        waited_s = waited_for_a_processor_s(service) + waited_for_a_processor_s(os.getpid()) - waited_s
        ready, _ = _ask(port, "/health/ready")
        sys.stdout.write(json.dumps({"live": live, "took_s": took_s, "waited_s": waited_s, "ready": ready}) + "\n")
        sys.stdout.flush()


def waited_for_a_processor_s(pid: int) -> float:
    """How long a process has been ready to run and was not let: the second figure of Linux's ``schedstat``, in nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def _ask(port: int, path: str) -> tuple[int, float]:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    return status, time.monotonic() - began


if __name__ == "__main__":
    main()
