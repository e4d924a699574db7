"""Looks at a service while others torment it, from a process of its own: `python -m tests.hostile.watch PORT`.

Prints a line of JSON for each look: how long liveness took, how late the look itself began (a machine that is busy with other
things makes all late), and what readiness says. It ends when its input does.
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import time

EVERY_S = 0.02


def main() -> None:
    """Look until the input ends."""
    port = int(sys.argv[1])
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        due = max(due + EVERY_S, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        live, took_s = _ask(port, "/health/live")
        ready, _ = _ask(port, "/health/ready")
        late_s = began - due
        sys.stdout.write(json.dumps({"live": live, "took_s": took_s, "late_s": late_s, "ready": ready}) + "\n")
        sys.stdout.flush()


def _ask(port: int, path: str) -> tuple[int, float]:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except OSError:
        status = 0
    finally:
        connection.close()
    return status, time.monotonic() - began


if __name__ == "__main__":
    main()
