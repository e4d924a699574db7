"""Closing a period."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from ledger import Book, Close, CloseOutcome, CloseState, Ledger
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.closes.checklist import Item, Severity, checklist
from service.http.periods import Period
from service.http.problems import FieldError, Problem, invalid_field

if TYPE_CHECKING:
    from service.services import Services

_STEPS = 2
"""Storing, settling: a small book is through at once, and the worker does what is left of a large one."""


async def close(services: Services, principal: Principal, period: Period, skip: Mapping[str, str]) -> tuple[Close, bool]:
    """Close a period; the flag says whether it is new. Raises the problem of one that cannot be closed."""
    ledger, book = services.ledger, principal.brand.book
    outcome, begins_on = await ledger.begin_close(book, begins_on=period.begin, ends_on=period.end, asks=True)
    if outcome is CloseOutcome.CLOSED:
        _refuse_open_items(await checklist(services, principal.brand, period), skip)
        await _record(services, principal, period, skip)
        outcome, begins_on = await ledger.begin_close(book, begins_on=period.begin, ends_on=period.end)
    made = _decided(outcome, begins_on)
    return await _advance(ledger, book, period), made


def _decided(outcome: CloseOutcome, begins_on: date | None) -> bool:
    match outcome:
        case CloseOutcome.NOT_OVER:
            raise Problem("period_not_over", "The period ends at midnight after its last day, in the brand's time zone.")
        case CloseOutcome.OUT_OF_ORDER:
            raise Problem("period_out_of_order", f"The next period begins on {begins_on}.")
        case CloseOutcome.BEFORE_BOOK:
            raise invalid_field("/period", "is before the book's first transfer", code="period_before_book")
        case CloseOutcome.CLOSED | CloseOutcome.CLOSED_BEFORE:
            return outcome is CloseOutcome.CLOSED


def _refuse_open_items(items: Sequence[Item], skip: Mapping[str, str]) -> None:
    """Raise the problem of blockers, of warnings without a reason, or of reasons for what is no warning."""
    warnings = {item.code for item in items if item.severity is Severity.WARNING}
    for code in skip:
        if code not in warnings:
            raise invalid_field(f"/skip/{code}", "is none of the checklist's warnings")
    _refuse("close_blocked", [item for item in items if item.severity is Severity.BLOCKER and item.is_open])
    _refuse("close_has_warnings", [item for item in items if item.code in warnings - set(skip) and item.is_open])


def _refuse(code: str, items: Sequence[Item]) -> None:
    if items:
        errors = [FieldError(f"/skip/{item.code}", code, f"{item.count}: {item.detail}") for item in items]
        raise Problem(code, f"The checklist has: {', '.join(item.code for item in items)}.", errors=errors)


async def _record(services: Services, principal: Principal, period: Period, skip: Mapping[str, str]) -> None:
    # The books are closed in a transaction of their own, so who asked first is recorded first; the close says when it was made.
    request = hashlib.sha256(repr((period.name, sorted(skip.items()))).encode()).digest()
    async with services.engine.begin() as connection:
        await record(connection, principal, "close.make", period.name, after={"skip": dict(skip)}, request=request)


async def _advance(ledger: Ledger, book: Book, period: Period) -> Close:
    close = await ledger.close(book, period.end)
    assert close is not None
    for _ in range(_STEPS):
        if close.state is not CloseState.SETTLED:
            close = await ledger.advance_close(book, close)
    return close
