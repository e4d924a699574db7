"""Reading the books for finance."""

from __future__ import annotations

import re

from ledger import Book, Cut, Ledger
from service.campaigns.queries import campaign_ids
from service.http.problems import invalid_field, not_found

_SEQ = re.compile("[0-9]+")
_SEQ_DIGITS_MAX = 19

__all__ = ["campaign_ids", "find_cut"]


async def find_cut(ledger: Ledger, book: Book, wanted: str | None) -> Cut:
    """The cut that ``wanted`` names: a name, a ``seq``, or None for the head now. Raises the problem of naming none."""
    if wanted is None:
        return await ledger.head(book)
    if not _SEQ.fullmatch(wanted):
        return await ledger.cut_named(book, wanted) or _no_such_cut()
    head = await ledger.head(book)
    if len(wanted) > _SEQ_DIGITS_MAX or (seq := int(wanted)) > head.seq:
        raise invalid_field("?cut", f"the book ends at seq {head.seq}")
    # Nothing was posted by seq 0; its time is that of the first transfer, so that it stays the same too.
    last = await ledger.transfers(book, after=max(seq, 1) - 1, cut=max(seq, 1), limit=1)
    return Cut(name="", seq=seq, posted_at=last[0].posted_at if last else head.posted_at)


def _no_such_cut() -> Cut:
    raise not_found("cut")
