"""Columns as the database sends them, turned into Arrow's, a page at a time and never a value at a time.

A column is the values of a page one after the other, big-endian, as the protocol writes them. What stands for none is given to
each function. The forms are those of the CSV.
"""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ledger import Calendar

Column = Any
"""An Arrow array; pyarrow has no types for its compute functions."""
Columns = Mapping[str, Column]
"""A page, by the names of its columns."""

NO_NUMBER = -1
_NO_TIME = 2**63 - 1
_NO_DATE = 2**31 - 1
_NO_KEY = "0" * 32
_DAYS_TO_EPOCH = (date(2000, 1, 1) - date(1970, 1, 1)).days
_US_TO_EPOCH = _DAYS_TO_EPOCH * 86_400_000_000
_KEY_BYTES = 16


def none_of(schema: Any) -> Columns:
    """A page without rows."""
    return {field.name: pa.nulls(0, field.type) for field in schema}


def int64(raw: bytes) -> Column:
    """Numbers of eight bytes."""
    return _numbers(raw, "q", pa.int64())


def int32(raw: bytes) -> Column:
    """Numbers of four bytes."""
    return _numbers(raw, "i", pa.int32())


def int16(raw: bytes) -> Column:
    """Numbers of two bytes."""
    return _numbers(raw, "h", pa.int16())


def halves(raw: bytes) -> tuple[Column, Column]:
    """Ids of 16 bytes as two numbers each."""
    numbers = memoryview(raw).cast("q")
    return int64(numbers[0::2].tobytes()), int64(numbers[1::2].tobytes())


def but(column: Column, missing: int | str) -> Column:
    """The same with none where it is ``missing``."""
    return pc.if_else(pc.equal(column, missing), None, column)


def spread(values: Column, has: Column) -> Column:
    """A column of the ``values``, in order, where it ``has`` one, and none elsewhere."""
    if len(values) == len(has):
        return values
    if not len(values):
        return pa.nulls(len(has), values.type)
    places = pc.subtract(pc.cumulative_sum(has.cast(pa.int32())), 1)
    return pc.take(values, pc.if_else(has, places, None))


def times(raw: bytes) -> Column:
    """Instants in UTC, or none."""
    since_1970 = pc.add(but(int64(raw), _NO_TIME), _US_TO_EPOCH)
    return since_1970.cast(pa.timestamp("us", "UTC"))


def dates(raw: bytes) -> Column:
    """Days, or none."""
    return pc.add(but(int32(raw), _NO_DATE), _DAYS_TO_EPOCH).cast(pa.int32()).cast(pa.date32())


def days(times: Column, calendar: Calendar) -> Column:
    """On which day each instant was; there is one at least."""
    bounds = pc.min_max(times)
    (_, ahead), *changes = calendar.spells(bounds["min"].as_py(), bounds["max"].as_py())
    local = pc.add(times, ahead)
    for since, ahead in changes:
        local = pc.if_else(pc.less(times, since), local, pc.add(times, ahead))
    return local.cast(pa.timestamp("us")).cast(pa.date32())


def keys(raw: bytes) -> Column:
    """Keys of 16 bytes, in hexadecimal, or none."""
    rows = len(raw) // _KEY_BYTES
    column = pa.StringArray.from_buffers(rows, _key_offsets(rows), pa.py_buffer(raw.hex().encode()))
    return but(column, _NO_KEY)


@lru_cache(maxsize=2)
def _key_offsets(rows: int) -> Any:
    """Where each of so many keys begins: nearly all pages have as many."""
    return pa.py_buffer(array("i", range(0, 2 * _KEY_BYTES * rows + 1, 2 * _KEY_BYTES)))


def words(numbers: Column, names: Sequence[str]) -> Column:
    """Names for numbers, the first of which is 1."""
    return pc.take(pa.array([None, *names]), numbers)


def campaigns(numbers: Column, names: Mapping[int, str]) -> Column:
    """What campaigns are called; one without a name keeps its number."""

    def name(number: int | None) -> str | None:
        return None if number is None or number == NO_NUMBER else names.get(number, str(number))

    encoded = pc.dictionary_encode(numbers)
    texts = pa.array([name(number) for number in encoded.dictionary.to_pylist()], pa.string())
    return pc.take(texts, encoded.indices)


def _numbers(raw: bytes, code: str, kind: Any) -> Column:
    numbers = array(code, raw)
    if sys.byteorder == "little":
        numbers.byteswap()
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])
