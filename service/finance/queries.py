"""Reading the books for finance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import AsOf, Book, Cut, InstantOutcome, Ledger, Transfer, Verb
from service.campaigns.queries import campaign_ids
from service.corrections.jobs.queries import jobs_of
from service.http.problems import invalid_field, not_found

_SEQ = re.compile("[0-9]+")
_SEQ_DIGITS_MAX = 19
_SEQ_MAX = 2**63 - 1

Instant = Annotated[datetime, msgspec.Meta(tz=True)]

_CORRECTING = frozenset((Verb.CLAWBACK, Verb.REJECT, Verb.ADJUST))

__all__ = ["campaign_ids", "corrections_of", "find_cut", "find_instant"]


async def corrections_of(engine: AsyncEngine, brand_id: int, found: Sequence[Transfer]) -> Mapping[int, str]:
    """The corrections of many that transfers belong to, by the first transfer of a transaction."""
    return await jobs_of(engine, brand_id, {each.transaction_id for each in found if each.verb in _CORRECTING})


async def find_instant(ledger: Ledger, book: Book, cut: str | None, as_of: str | None) -> Cut | AsOf:
    """Where in the book to read: at a cut (see ``find_cut``) or as of an instant. Raises the problem of naming none."""
    if as_of is None:
        return await find_cut(ledger, book, cut)
    if cut is not None:
        raise invalid_field("?as_of", "send either a cut or an instant, not both")
    found = await ledger.as_of(book, _instant(as_of))
    match found:
        case InstantOutcome.IN_FUTURE:
            raise invalid_field("?as_of", "is later than the book's clock", code="instant_in_future")
        case InstantOutcome.BEFORE_BOOK:
            raise invalid_field("?as_of", "is before the book's first transfer", code="instant_before_book")
        case AsOf():
            return found
        case InstantOutcome.KNOWN:
            raise AssertionError(found)


def _instant(text: str) -> datetime:
    try:
        return msgspec.convert(text, Instant).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise invalid_field("?as_of", "is not a time with a zone, such as 2026-12-01T00:00:00Z (encode + as %2B)") from None


async def find_cut(ledger: Ledger, book: Book, wanted: str | None) -> Cut:
    """The cut that ``wanted`` names: a name, a ``seq``, or None for the head now. Raises the problem of naming none."""
    if wanted is None:
        return await ledger.head(book)
    if not _SEQ.fullmatch(wanted):
        return await ledger.cut_named(book, wanted) or _no_such_cut()
    found = None if len(wanted) > _SEQ_DIGITS_MAX else await ledger.cut_at(book, min(int(wanted), _SEQ_MAX))
    if found is None:
        raise invalid_field("?cut", f"the book ends at seq {(await ledger.head(book)).seq}")
    return found


def _no_such_cut() -> Cut:
    raise not_found("cut")
