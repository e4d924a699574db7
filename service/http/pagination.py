"""Pages: ``?after=&limit=``. An answer's ``next`` is the ``after`` of the page behind it, null when there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX, description="The most items to return.")]
"""``limit: Limit = LIMIT_DEFAULT``."""

AfterSeq = Annotated[int | None, QueryParameter(ge=0, le=2**63 - 1, description="The `next` of the previous page.")]
"""``after: AfterSeq = None``, for lists whose cursor is a number in the book."""

AfterNumber = Annotated[int | None, QueryParameter(ge=0, le=2**31 - 1, description="The `next` of the previous page.")]
"""``after: AfterNumber = None``, for lists whose cursor is the number of a configuration row."""

AfterPosition = Annotated[
    str | None,
    QueryParameter(pattern="^[0-9]{1,18}\\.[0-9]{1,18}$(?!\\n)", description="The `next` of the previous page."),
]
"""``after: AfterPosition = None``, for lists whose cursor is a position in all that happened."""

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: Sequence[T]
    """The entries of this page."""
    next: str | None
    """The `after` of the next page; null on the last page."""


def page(found: Sequence[T], *, limit: int, cursor: Callable[[T], int | str]) -> Page[T]:
    """Make a page of ``found``, for which the caller has asked one more than ``limit``."""
    items = found[:limit]
    return Page(items=items, next=str(cursor(items[-1])) if len(found) > limit else None)
