"""Whether 32 bytes are a public key of Ed25519 that only its owner can sign for.

A point of low order verifies signatures that nobody made (RFC 8032, 5.1.7; "Taming the many EdDSAs", 2020), and libraries do
not agree on points that can be written in two ways. So a key has to be written canonically, lie on the curve, and generate the
group of prime order, which every key that was made from a private one does. The arithmetic is that of RFC 8032, 5.1: it takes
some milliseconds, once for each key that is registered, and touches no secret.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

_Point: TypeAlias = tuple[int, int, int, int]
"""Extended homogeneous coordinates: x = X/Z, y = Y/Z, x * y = T/Z."""

_NEUTRAL: _Point = (0, 1, 1, 0)


@functools.lru_cache(maxsize=256)
def is_good(public_key: bytes) -> bool:
    """Whether this can be registered as a public key."""
    point = _decoded(public_key)
    return point is not None and not _is_neutral(point) and _is_neutral(_times(_ORDER, point))


def _decoded(encoded: bytes) -> _Point | None:
    """The point of an encoding (RFC 8032, 5.1.3), unless there is none or it has another encoding."""
    number = int.from_bytes(encoded, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if len(encoded) != 32 or y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else _P - x
    return x, y, 1, x * y % _P


def _plus(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: _Point) -> _Point:
    product = _NEUTRAL
    while factor:
        if factor & 1:
            product = _plus(product, point)
        point = _plus(point, point)
        factor >>= 1
    return product


def _is_neutral(point: _Point) -> bool:
    return point[0] % _P == 0 and (point[1] - point[2]) % _P == 0
