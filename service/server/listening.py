"""Binding a port, with a clear word when it is taken."""

from __future__ import annotations

import os
import socket

from service.settings import SettingsError

BACKLOG = 2_048
ACCEPTED_IN_A_TURN = 16


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Bind a socket. Raises `SettingsError` naming the ``variable`` that chooses another port."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"Cannot listen on {host} port {port} ({why}): {variable} chooses another") from None


def in_copies(listening: socket.socket) -> list[socket.socket]:
    """A listening socket and copies of it, for one event loop.

    The loop accepts one connection of each socket in a turn, and turns are long when there is much to do: of one alone, so few
    a second that some who came at once would wait a minute, before anybody has read what they want.
    """
    return [listening, *(listening.dup() for _ in range(ACCEPTED_IN_A_TURN - 1))]
