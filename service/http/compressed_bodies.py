"""Packed bodies: gzip, of one member or several (RFC 1952), unpacked to a bounded number of bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from service.admission.limits import GZIP_MEMBERS_MAX
from service.http.problems import Problem

_AT_ONCE = 64 * 1024


def unpack(packed: bytes, *, bytes_max: int) -> bytes:
    """Return what was packed.

    Raises the ``Problem`` of what is no gzip, is cut short, or unpacks to more than ``bytes_max``.
    """
    unpacked = bytearray()
    parts = _parts(packed)
    left = next(parts, b"")
    members = 0
    while left:
        members += 1
        if members > GZIP_MEMBERS_MAX:
            raise Problem("malformed_body", f"The gzip body has more than {GZIP_MEMBERS_MAX:,} members.")
        left = _unpack_member(left, parts, unpacked, bytes_max) or next(parts, b"")
    if not members:
        raise _not_gzip()
    return bytes(unpacked)


def _unpack_member(part: bytes, parts: Iterator[bytes], unpacked: bytearray, bytes_max: int) -> bytes:
    """Unpack a member that begins in ``part``, and return what is behind it there."""
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    while not unzip.eof:
        try:
            unpacked += unzip.decompress(part, bytes_max + 1 - len(unpacked))
        except zlib.error:
            raise _not_gzip() from None
        if len(unpacked) > bytes_max:
            raise Problem("too_large", f"The body decompresses to more than {bytes_max} bytes.")
        part = unzip.unconsumed_tail or (b"" if unzip.eof else next(parts, b""))
        if not part and not unzip.eof:
            raise Problem("malformed_body", "The gzip body is truncated.")
    return unzip.unused_data


def _parts(packed: bytes) -> Iterator[bytes]:
    # What is behind a member is copied each time; so it is never more than a part.
    for start in range(0, len(packed), _AT_ONCE):
        yield packed[start : start + _AT_ONCE]


def _not_gzip() -> Problem:
    return Problem("malformed_body", "The body is not gzip, or gzip followed by something else.")
