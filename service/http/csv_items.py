"""A batch as CSV: a header that names fields, and a row for each item, which is read as the JSON that it stands for.

An empty cell is a field that is left out. A column of an object's field is named with a dot: ``customer.email``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any, overload

import msgspec

from service.http.json_text import shown
from service.http.problems import Problem, invalid_field

_BYTE_ORDER_MARK = "\ufeff"


class CsvItems(Sequence[bytes]):
    """Rows as JSON, made when they are asked for."""

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str]) -> None:
        self._header = header
        self._rows = rows
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[bytes]:
        return map(self._item, self._rows)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self._item(row) for row in self._rows[index]]
        return self._item(self._rows[index])

    def _item(self, row: Sequence[str]) -> bytes:
        item: dict[str, Any] = {}
        for number, (column, cell) in enumerate(zip_longest(self._header, row), 1):
            if cell:
                # A cell without a column is told as a field that there is not.
                _put(item, (column or f"cell {number}").split("."), self._value(column, cell))
        return msgspec.json.encode(item)

    def _value(self, column: str | None, cell: str) -> str | int:
        digits = cell.removeprefix("-")
        # What is no number stays text, and is refused as that.
        is_number = column in self._numbers and digits.isascii() and digits.isdecimal() and len(digits) < 19
        return int(cell) if is_number else cell


def _put(item: dict[str, Any], path: Sequence[str], value: str | int) -> None:
    for name in path[:-1]:
        item = item.setdefault(name, {})
    item[path[-1]] = value


def items_of_csv(raw: bytes, columns: Collection[str], numbers: Collection[str], *, items_max: int) -> CsvItems:
    """The items of a CSV in UTF-8, at most one more than ``items_max``. Raises the problem of what is no CSV."""
    try:
        text = raw.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError:
        raise Problem("malformed_body", "The CSV must be in UTF-8.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header: Sequence[str] = next(reader, ())
        _check(header, columns)
        rows = list(islice((row for row in reader if any(row)), items_max + 1))
    except csv.Error as error:
        raise Problem("malformed_body", f"The CSV is broken at line {reader.line_num}: {error}.") from None
    return CsvItems(header, rows, numbers)


def _check(header: Sequence[str], columns: Collection[str]) -> None:
    for number, name in enumerate(header):
        if name not in columns:
            raise invalid_field("", f"has the column {shown(name)!r}; there are {', '.join(columns)}")
        if name in header[:number]:
            raise invalid_field("", f"has the column {name} twice")
