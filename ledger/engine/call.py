"""A call of a function of the ledger. Its arguments are declared once: name, type, and where their values come from.

    Argument   one value, or an array of them
    Table      arrays that are the columns of one table, each an argument of its own
    Kept       a table that is encoded once and sent with many calls

A grant alone has as many arguments as a thousand, and most of its tables have no row: such a table costs one call of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from ledger.engine.arrays import Array

Source = TypeVar("Source")


class Argument(NamedTuple, Generic[Source]):
    """``collect`` takes the value from whatever the call is made for. Without it, the value is given with each call.

    ``type`` is an array that we encode, or the name of a type that the driver encodes.
    """

    name: str
    type: Array | str
    collect: Callable[[Source], Any] | None = None


class Table(NamedTuple, Generic[Source]):
    """``collect`` returns the rows, each with a value for every column in order."""

    columns: Mapping[str, Array]
    collect: Callable[[Source], Collection[tuple[Any, ...]]]


def table_of(collect: Callable[[Source], Collection[Any]], **columns: tuple[Array, str]) -> Table[Source]:
    """A table with a row for each thing that ``collect`` returns. A column's values are the attribute that is named with it."""
    row: Callable[[Any], tuple[Any, ...]] = attrgetter(*(attribute for _, attribute in columns.values()))

    def rows(source: Source) -> list[tuple[Any, ...]]:
        return [*map(row, collect(source))]

    return Table({name: array for name, (array, _) in columns.items()}, rows)


class Kept(NamedTuple, Generic[Source]):
    """``collect`` returns the columns as `encoded` has made them before."""

    columns: Mapping[str, Array]
    collect: Callable[[Source], list[bytes]]


def encoded(table: Table[Source], source: Source) -> list[bytes]:
    """The columns of a table, as they are sent."""
    return _Columns.of(table).encoded(table.collect(source))


class _Columns(NamedTuple):
    """How the columns of a table are encoded, and what they are without rows."""

    encode: list[Callable[[Any], bytes]]
    empty: list[bytes]

    @classmethod
    def of(cls, table: Table[Any]) -> _Columns:
        arrays = table.columns.values()
        return cls([array.encode for array in arrays], [array.encode(()) for array in arrays])

    def encoded(self, rows: Collection[tuple[Any, ...]]) -> list[bytes]:
        if not rows:
            return self.empty
        if len(rows) == 1:
            (row,) = rows
            return [encode((value,)) for encode, value in zip(self.encode, row, strict=True)]
        return [encode(column) for encode, column in zip(self.encode, zip(*rows, strict=True), strict=True)]


class Call(Generic[Source]):
    """The statement that calls ``function``, and its arguments in the function's order; what is given comes first.

    ``returns`` takes columns out of ``answer``, the function's row.
    """

    def __init__(
        self, function: str, *parts: Argument[Source] | Table[Source] | Kept[Source], returns: str = "(answer).*"
    ) -> None:
        self.function = function
        self.parameters = [parameter for part in parts for parameter in _parameters(part)]
        casts = [f"${number}::{_sql_type(type_)}" for number, (_, type_) in enumerate(self.parameters, 1)]
        # In FROM it would cost more: each argument is an expression of its own there, and rows are kept before they are sent.
        self.sql = f"SELECT {returns} FROM (SELECT ledger.{function}({', '.join(casts)}) AS answer OFFSET 0) AS posted"
        self._collected = [(part.collect, *_encoding(part)) for part in parts if part.collect is not None]

    def collect(self, source: Source) -> list[Any]:
        """The values of all arguments but those that are given, as they are sent."""
        values: list[Any] = []
        for collect, encode, columns in self._collected:
            collected = collect(source)
            if encode is not None:
                values.append(encode(collected))
            elif columns is not None:
                values += columns(collected)
            else:
                values.append(collected)
        return values


def _parameters(part: Argument[Any] | Table[Any] | Kept[Any]) -> list[tuple[str, Array | str]]:
    return [(part.name, part.type)] if isinstance(part, Argument) else [*part.columns.items()]


_Encode = Callable[[Any], bytes]
_EncodeEach = Callable[[Any], list[bytes]]


def _encoding(part: Argument[Any] | Table[Any] | Kept[Any]) -> tuple[_Encode | None, _EncodeEach | None]:
    """How what is collected becomes one value, or several; neither is a value as it is."""
    if isinstance(part, Argument):
        return (None if isinstance(part.type, str) else part.type.encode), None
    return None, _Columns.of(part).encoded if isinstance(part, Table) else _as_they_are


def _as_they_are(columns: list[bytes]) -> list[bytes]:
    return columns


def _sql_type(type_: Array | str) -> str:
    return type_ if isinstance(type_, str) else f"ledger.{type_.domain}"
