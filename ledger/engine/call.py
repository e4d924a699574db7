"""A call of a function of the ledger. Its arguments are declared once: name, type, and where their values come from."""

from __future__ import annotations

from collections.abc import Callable
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


class Call(Generic[Source]):
    """The statement that calls ``function``, and its arguments in the function's order; what is given comes first."""

    def __init__(self, function: str, *arguments: Argument[Source], returns: str = "*") -> None:
        self.function = function
        self.arguments = arguments
        parameters = [f"${n}::{_sql(argument.type)}" for n, argument in enumerate(arguments, 1)]
        self.sql = f"SELECT {returns} FROM ledger.{function}({', '.join(parameters)})"
        self._collected = [
            (_unchanged if isinstance(argument.type, str) else argument.type.encode, argument.collect)
            for argument in arguments
            if argument.collect is not None
        ]

    def collect(self, source: Source) -> list[Any]:
        """The values of all arguments but those that are given, as they are sent."""
        return [encode(collect(source)) for encode, collect in self._collected]


def _sql(type_: Array | str) -> str:
    return type_ if isinstance(type_, str) else f"ledger.{type_.domain}"


def _unchanged(value: Any) -> Any:
    return value
