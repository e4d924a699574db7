"""Binding a port, with a clear word when it is taken.

    listen            one socket
    listen_together   several on one port, one for each process
    listen_locally    one on any port, for this machine alone

**Why a socket for each process** (``SO_REUSEPORT``) and not one for all. Of one, whoever is idle accepts, which is fair while
connections come one by one. But clients open theirs at once and keep them, and who wakes first takes what is there: of 64
connections opened together, up to 57 went to one of two processes, of 256 up to 234, of 8 often all. By their hash it was at
most 42, 140 and 7.

A process that dies does not take its queue with it. The supervisor has every socket too, and a successor takes over its
predecessor's: who is in the queue waits for the tenth of a second that this takes. While no successor is about to come, nobody
is sent there: the socket is made to listen no more, which resets what is in its queue, and listens again with the successor.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from service.settings import SettingsError

T = TypeVar("T")

BACKLOG = 2_048
ACCEPTED_IN_A_TURN = 16
_LOOKS_AGAIN_AFTER_S = 0.1


def listen(host: str, port: int, variable: str, *, shared: bool = False) -> socket.socket:
    """Bind a socket. Raises `SettingsError` naming the ``variable`` that chooses another port."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"Cannot listen on {host} port {port} ({why}): {variable} chooses another") from None


def listen_together(host: str, port: int, variable: str, count: int) -> list[socket.socket]:
    """Bind ``count`` sockets to one port, to which the kernel deals connections out by their hash. Raises as ``listen``."""
    # The kernel would let us in beside another service of ours that shares its port.
    with listen(host, port, variable) as alone:
        port = alone.getsockname()[1]
    return [listen(host, port, variable, shared=True) for _ in range(count)]


def listen_locally() -> socket.socket:
    """Bind a socket to a port of this machine alone, whichever is free."""
    # Only a port that was bound by its number is kept by a socket that stops listening for a while.
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as free:
        return socket.create_server(free.getsockname(), backlog=BACKLOG, reuse_port=True)


def when_free(bind: Callable[[], T], *, within_s: float) -> T:
    """What ``bind`` returns. What was killed a moment ago may still leave a port, so `SettingsError` counts only at the end."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return bind()
        except SettingsError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOKS_AGAIN_AFTER_S)


def in_copies(listening: socket.socket) -> list[socket.socket]:
    """A listening socket and copies of it, for one event loop.

    The loop accepts one connection of each socket in a turn, and turns are long when there is much to do: of one alone, so few
    a second that some who came at once would wait a minute, before anybody has read what they want.
    """
    return [listening, *(listening.dup() for _ in range(ACCEPTED_IN_A_TURN - 1))]
