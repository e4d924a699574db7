"""Whom an address stands for, where nobody says who they are."""

from __future__ import annotations

import functools
import socket

_V4_IN_V6 = bytes(10) + b"\xff\xff"


@functools.lru_cache(maxsize=4_096)
def neighbourhood(address: str) -> str:
    """An IPv4 address itself, or the /64 that an IPv6 address is in, which is a household's. Empty if it is neither."""
    try:
        if ":" not in address:
            return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, address))
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return ""
    if packed.startswith(_V4_IN_V6):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"
