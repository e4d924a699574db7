"""Arrays onto the wire, in PostgreSQL's binary form of one dimension.

The driver asks each element of an array whether it is an array itself: two calls of Python an element, which took longer than
all the rest of sending a batch. So each kind of array has a name of its own in the database (a domain, ``sql/schema``), the
driver is told that it is bytes, and the bytes are made here.

    register_codecs   tells the driver of one connection
    Array             a kind: its name in the database, and how its elements are written
"""

from __future__ import annotations

import functools
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import asyncpg

from ledger.instants import EPOCH, microseconds

_SCHEMA = "ledger"
_NULL = b"\xff\xff\xff\xff"
_EPOCH_ORDINAL = EPOCH.toordinal()
_INFINITE_DATE = 2**31 - 1

# Dimensions, whether there are NULLs, the type of the elements; of the one dimension: how many, and the number of the first.
_head = struct.Struct(">5i").pack
# How many bytes an element has stands before each.
_length = functools.cache(struct.Struct(">i").pack)


class Array(NamedTuple):
    """A kind of array: the domain that the database knows it by, and ``encode`` from values to what is sent.

    ``encode`` raises ``ValueError`` or ``OverflowError`` for values that the elements cannot have.
    """

    domain: str
    encode: Callable[[Sequence[Any]], bytes]


async def register_codecs(connection: asyncpg.Connection[Any]) -> None:
    """Tell the driver of ``connection`` that these arrays are written already."""
    for kind in ALL:
        try:
            await connection.set_builtin_type_codec(kind.domain, schema=_SCHEMA, codec_name="bytea")
        except ValueError as unknown:
            raise LookupError(f"the database has no arrays called {_SCHEMA}.{kind.domain}") from unknown


def _empty(oid: int) -> bytes:
    return _head(1, 0, oid, 0, 1)


def _numbers(oid: int, code: str, size: int) -> Callable[[Sequence[int]], bytes]:
    none = _empty(oid)
    only, first = _head(1, 0, oid, 1, 1) + _length(size), _head(1, 0, oid, 2, 1) + _length(size)
    pack = struct.Struct(f">{code}").pack
    pack_next = struct.Struct(f">i{code}").pack
    step = 4 + size

    def encode(values: Sequence[int]) -> bytes:
        count = len(values)
        if count == 0:
            return none
        if count <= 2:
            # What a grant alone has.
            try:
                return only + pack(values[0]) if count == 1 else first + pack(values[0]) + pack_next(size, values[1])
            except struct.error as error:
                raise OverflowError(*error.args) from None
        numbers = array(code, values)
        if sys.byteorder == "little":
            numbers.byteswap()
        data = numbers.tobytes()
        # Byte by byte of all elements at once: a layout for each count would be as large as what it lays out, and kept.
        elements = bytearray(step * count)
        elements[3::step] = bytes((size,)) * count
        for place in range(size):
            elements[4 + place :: step] = data[place::size]
        return _head(1, 0, oid, count, 1) + elements

    return encode


def _pieces(oid: int) -> Callable[[Sequence[bytes | None]], bytes]:
    """Elements of any length; ``None`` is NULL."""
    none = _empty(oid)
    only, only_null = _head(1, 0, oid, 1, 1), _head(1, 1, oid, 1, 1) + _NULL

    def encode(values: Sequence[bytes | None]) -> bytes:
        count = len(values)
        if count == 1:
            (value,) = values
            return only_null if value is None else only + _length(len(value)) + value
        if count == 0:
            return none
        has_nulls = None in values
        pieces = [_NULL if value is None else _length(len(value)) + value for value in values]
        return _head(1, has_nulls, oid, count, 1) + b"".join(pieces)

    return encode


_byteas = _pieces(17)
_chars = _pieces(18)
_text_pieces = _pieces(25)
_moment_pieces = _pieces(1184)


def _texts(values: Sequence[str | None]) -> bytes:
    return _text_pieces([None if value is None else value.encode() for value in values])


def _booleans(values: Sequence[bool]) -> bytes:
    return _head(1, 0, 16, len(values), 1) + b"".join([b"\0\0\0\1\1" if value else b"\0\0\0\1\0" for value in values])


def _dates(values: Sequence[date]) -> bytes:
    """``date.max`` is infinity."""
    return _days([_INFINITE_DATE if value == date.max else value.toordinal() - _EPOCH_ORDINAL for value in values])


def _moments(values: Sequence[datetime | None]) -> bytes:
    return _moment_pieces([None if value is None else microseconds(value).to_bytes(8, "big", signed=True) for value in values])


_days = _numbers(1082, "i", 4)

SMALLINTS = Array("smallints", _numbers(21, "h", 2))
INTEGERS = Array("integers", _numbers(23, "i", 4))
BIGINTS = Array("bigints", _numbers(20, "q", 8))
BOOLEANS = Array("booleans", _booleans)
CHARS = Array("chars", _chars)
TEXTS = Array("texts", _texts)
BYTEAS = Array("byteas", _byteas)
DATES = Array("dates", _dates)
MOMENTS = Array("moments", _moments)

ALL = (SMALLINTS, INTEGERS, BIGINTS, BOOLEANS, CHARS, TEXTS, BYTEAS, DATES, MOMENTS)
