"""The network that an anonymous client is counted by."""

from __future__ import annotations

import functools
import socket

_V4_IN_V6 = bytes(10) + b"\xff\xff"


def packed_of(address: str) -> bytes | None:
    """The four bytes of an IPv4 address, also of one inside IPv6, or sixteen of another. ``None`` if it is neither."""
    try:
        if ":" not in address:
            return socket.inet_pton(socket.AF_INET, address)
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return None
    return packed.removeprefix(_V4_IN_V6)


@functools.lru_cache(maxsize=4_096)
def client_network(address: str) -> str:
    """An IPv4 address itself, or the /64 that an IPv6 address is in, which is a household's. Empty if it is neither."""
    packed = packed_of(address)
    if packed is None:
        return ""
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"
