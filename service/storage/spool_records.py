"""A record as bytes in a file of the spool: ``magic, length, CRC-32 of length and payload, payload``.

    frame     a record as it is in a file
    unframe   the records at the beginning of a file's bytes

A record that was torn by a kill or damaged on the disk is passed over, and what follows is found by the magic.
"""

from __future__ import annotations

import struct
import zlib

RECORD_BYTES_MAX = 32 * 1024

_MAGIC = b"\xc5\x9frs"
_HEADER = struct.Struct("<4sII")


def frame(record: bytes) -> bytes:
    """A record as it is in a file."""
    if len(record) > RECORD_BYTES_MAX:
        raise ValueError("a record is too long")
    return _HEADER.pack(_MAGIC, len(record), _crc(record)) + record


def unframe(data: bytes, limit: int, *, is_all: bool) -> tuple[list[bytes], int, int]:
    """At most ``limit`` records at the beginning of ``data``, how many bytes were read, and how many of them are damaged.

    ``is_all``: no more will follow, so what is cut short stays so.
    """
    records: list[bytes] = []
    at = damaged = 0
    while at < len(data) and len(records) < limit:
        end = at + _HEADER.size
        is_cut_short = end > len(data)
        if not is_cut_short and data.startswith(_MAGIC, at):
            _, length, crc = _HEADER.unpack_from(data, at)
            end += length
            is_cut_short = length <= RECORD_BYTES_MAX and end > len(data)
            if length <= RECORD_BYTES_MAX and not is_cut_short and _crc(record := data[at + _HEADER.size : end]) == crc:
                records.append(record)
                at = end
                continue
        if is_cut_short and not is_all:
            break
        following = data.find(_MAGIC, at + 1)
        if following < 0:
            # The magic itself may be cut in two.
            following = len(data) if is_all else max(at + 1, len(data) - len(_MAGIC) + 1)
        damaged += following - at
        at = following
    return records, at, damaged


def _crc(record: bytes) -> int:
    return zlib.crc32(record, zlib.crc32(len(record).to_bytes(4, "little")))
