"""Runs `rewards` in processes that need not load it: they are forked from one that has.

    run     a command to its end: what it said, and its exit status

A command that fails at once, or prints its help, spends nearly all its time on loading.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TIMEOUT_S = 60
REQUEST_BYTES_MAX = 1 << 17


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    request = json.dumps({"arguments": arguments, "environment": dict(environment), "directory": str(Path.cwd())})
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        ended, end = os.pipe()
        socket.send_fds(_server(), [request.encode()], [out.fileno(), err.fileno(), end])
        os.close(end)
        status = _status(ended)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["rewards", *arguments], status, out.read(), err.read())


def _status(ended: int) -> int:
    """The exit status, once the process has ended: then nobody has the other end of the pipe any more."""
    with open(ended, "rb") as file:
        # It gives itself as long as anybody waits, and says nothing when that, or another signal, has ended it.
        return int(file.read() or -signal.SIGALRM)


@functools.cache
def _server() -> socket.socket:
    """Our end of the socket to the process that has loaded everything. It ends with us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        program = [sys.executable, "-m", "tests.cli.preloaded", str(theirs.fileno())]
        subprocess.Popen(program, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    return ours


def _serve(requests: socket.socket) -> None:
    from service.cli.main import COMMANDS

    for place, _ in COMMANDS.values():
        importlib.import_module(place.partition(":")[0])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES_MAX, 3)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            _become(json.loads(request), *descriptors)
        for each in descriptors:
            os.close(each)


def _become(command: dict[str, Any], out: int, err: int, end: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(TIMEOUT_S)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(command["directory"])
    os.environ.clear()
    os.environ.update(command["environment"])
    status = _status_of(command["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(end, b"%d" % status)
    os._exit(status)


def _status_of(arguments: Sequence[str]) -> int:
    """Run the command as the interpreter would, and say what it would exit with."""
    from service.cli.main import main

    sys.argv = ["rewards", *arguments]
    sys.modules["__main__"].__package__ = None  # by which a command would say how it was called
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
            return 1
        return ended.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
