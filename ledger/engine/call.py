"""A call of a function of the ledger. Its arguments are declared once: name, type, and where their values come from.

    Argument   one value, or an array of them
    Table      arrays that are the columns of one table, each an argument of its own

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


class _Columns(NamedTuple):
    """How the columns of a table are encoded, and what they are without rows."""

    encode: list[Callable[[Any], bytes]]
    empty: list[bytes]


class Call(Generic[Source]):
    """The statement that calls ``function``, and its arguments in the function's order; what is given comes first."""

    def __init__(self, function: str, *parts: Argument[Source] | Table[Source], returns: str = "*") -> None:
        self.function = function
        self.parameters = [parameter for part in parts for parameter in _parameters(part)]
        casts = [f"${number}::{_sql_type(type_)}" for number, (_, type_) in enumerate(self.parameters, 1)]
        self.sql = f"SELECT {returns} FROM ledger.{function}({', '.join(casts)})"
        self._collected = [(part.collect, *_encoding(part)) for part in parts if part.collect is not None]

    def collect(self, source: Source) -> list[Any]:
        """The values of all arguments but those that are given, as they are sent."""
        values: list[Any] = []
        for collect, encode, columns in self._collected:
            collected = collect(source)
            if columns is None:
                values.append(collected if encode is None else encode(collected))
            elif collected:
                values += [encode(column) for encode, column in zip(columns.encode, zip(*collected, strict=True), strict=True)]
            else:
                values += columns.empty
        return values


def _parameters(part: Argument[Any] | Table[Any]) -> list[tuple[str, Array | str]]:
    return [*part.columns.items()] if isinstance(part, Table) else [(part.name, part.type)]


def _encoding(part: Argument[Any] | Table[Any]) -> tuple[Callable[[Any], bytes] | None, _Columns | None]:
    if isinstance(part, Table):
        arrays = part.columns.values()
        return None, _Columns([array.encode for array in arrays], [array.encode(()) for array in arrays])
    return (None if isinstance(part.type, str) else part.type.encode), None


def _sql_type(type_: Array | str) -> str:
    return type_ if isinstance(type_, str) else f"ledger.{type_.domain}"
