"""What a batch is answered: one result per item, in request order, each with a status of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

A = TypeVar("A")
T = TypeVar("T")


class Results(msgspec.Struct, Generic[T], frozen=True):
    """One result per item, in request order."""

    results: list[T]
    """One result per item, in request order."""


def results_of(answers: Sequence[A], result_of: Callable[[int, A, str], T], *, request_id: str) -> Results[T]:
    """Build the results of a batch: ``result_of`` is given an item's index and what came of it, and the request's id."""
    return Results([result_of(index, answer, request_id) for index, answer in enumerate(answers)])
