"""Columns as the database sends them, turned into Arrow's, a page at a time and never a value at a time.

A column is the values of a page one after the other, big-endian, as the protocol writes them. What stands for none is given to
each function. The forms are those of the CSV: `account_names` says what an account is called, and a test compares.
"""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ledger import AccountClass, Calendar, Kind, OwnerTag
from service.exports.account_names import KINDS_WITH_LAST_DAY, KINDS_WITHOUT_CLASS, NEVER, class_name, kind_name

Column = Any
"""An Arrow array; pyarrow has no types for its compute functions."""

NO_NUMBER = -1
_NO_TIME = 2**63 - 1
_NO_DATE = 2**31 - 1
_NO_KEY = "0" * 32
_EPOCH = date(2000, 1, 1)
_DAYS_TO_EPOCH = (_EPOCH - date(1970, 1, 1)).days
_US_TO_EPOCH = _DAYS_TO_EPOCH * 86_400_000_000
_NO_DAY = 2**32 - 1
_ID_BYTES = 16
_FIRST_NIBBLE = bytes(byte >> 4 for byte in range(256))
_SECOND_NIBBLE = bytes(byte & 15 for byte in range(256))


def int64(raw: bytes) -> Column:
    """Numbers of eight bytes."""
    return _numbers(raw, "q", pa.int64())


def int32(raw: bytes) -> Column:
    """Numbers of four bytes."""
    return _numbers(raw, "i", pa.int32())


def but(column: Column, missing: int | str) -> Column:
    """The same with none where it is ``missing``."""
    return pc.if_else(pc.equal(column, missing), None, column)


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
    text = raw.hex().encode()
    offsets = array("i", range(0, len(text) + 1, 2 * _ID_BYTES))
    column = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
    return but(column, _NO_KEY)


def words(raw: bytes, names: Sequence[str]) -> Column:
    """Numbers of two bytes that stand for names, the first of which is 1."""
    numbers = _numbers(raw, "h", pa.int16())
    return pc.take(pa.array([None, *names]), numbers)


def campaigns(numbers: Column, names: Mapping[int, str]) -> Column:
    """What campaigns are called; one without a name keeps its number."""
    return _told(but(numbers, NO_NUMBER), lambda number: names.get(number, str(number)))


class Accounts(NamedTuple):
    """What ids of accounts say: whose, by tag and number, and the parts of their names."""

    tags: Column
    numbers: Column
    kinds: Column
    owners: Column
    classes: Column
    last_days: Column

    def names(self) -> Column:
        """What the accounts are called."""
        parts = (self.kinds, self.owners, self.classes, self.last_days)
        return pc.binary_join_element_wise(*parts, ":", null_handling="skip")

    def numbers_of(self, tag: OwnerTag) -> Column:
        """The numbers of owners of one sort."""
        return pc.if_else(pc.equal(self.tags, int(tag)), self.numbers, pa.scalar(None, pa.int64()))


def accounts(raw: bytes, names: Mapping[int, str]) -> Accounts:
    """What accounts of 16 bytes are. ``names`` are the campaigns'."""
    tags, codes = _bytes(raw[0::_ID_BYTES]), raw[11::_ID_BYTES]
    kinds, classes = _bytes(codes.translate(_FIRST_NIBBLE)), _bytes(codes.translate(_SECOND_NIBBLE))
    numbers = _numbers(_strided(raw, 3, 8), "q", pa.int64())
    days = _numbers(_strided(raw, 12, 4), "I", pa.uint32())
    campaign_texts = campaigns(pc.if_else(pc.equal(tags, int(OwnerTag.CAMPAIGN)), numbers, NO_NUMBER), names)
    return Accounts(
        tags,
        numbers,
        _told(kinds, lambda kind: kind_name(Kind(kind))),
        pc.if_else(pc.equal(tags, int(OwnerTag.HOUSE)), None, pc.coalesce(campaign_texts, numbers.cast(pa.string()))),
        _where(
            kinds, lambda kind: kind not in KINDS_WITHOUT_CLASS, _told(classes, lambda each: class_name(AccountClass(each)))
        ),
        _where(kinds, lambda kind: kind in KINDS_WITH_LAST_DAY, _told(days, _last_day)),
    )


def _last_day(days: int) -> str:
    return NEVER if days == _NO_DAY else (_EPOCH + timedelta(days=days)).isoformat()


def _where(kinds: Column, has: Callable[[Kind], bool], column: Column) -> Column:
    having = pa.array([int(kind) for kind in Kind if has(kind)], pa.uint8())
    return pc.if_else(pc.is_in(kinds, value_set=having), column, pa.scalar(None, pa.string()))


def _told(numbers: Column, tell: Callable[[int], str]) -> Column:
    """Texts for numbers, each different one told once."""
    encoded = pc.dictionary_encode(numbers)
    texts = pa.array([tell(number) for number in encoded.dictionary.to_pylist()], pa.string())
    return pc.take(texts, encoded.indices)


def _bytes(raw: bytes) -> Column:
    return pa.Array.from_buffers(pa.uint8(), len(raw), [None, pa.py_buffer(raw)])


def _strided(raw: bytes, begin: int, size: int) -> bytes:
    """Of each id, ``size`` bytes from ``begin`` on."""
    part = bytearray(len(raw) // _ID_BYTES * size)
    for place in range(size):
        part[place::size] = raw[begin + place :: _ID_BYTES]
    return bytes(part)


def _numbers(raw: bytes, code: str, kind: Any) -> Column:
    numbers = array(code, raw)
    if sys.byteorder == "little":
        numbers.byteswap()
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])
