"""Reading the books for finance."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Book, Cut, Ledger
from service.campaigns.tables import campaign as campaigns
from service.problems import invalid_field, not_found


async def campaign_ids(engine: AsyncEngine, brand_id: int) -> Mapping[int, str]:
    """The ids of a brand's campaigns by their numbers."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(campaigns.c.campaign_no, campaigns.c.id).where(campaigns.c.brand_id == brand_id))
        return {row.campaign_no: row.id for row in rows}


async def find_cut(ledger: Ledger, book: Book, wanted: str | None) -> Cut:
    """The cut that ``wanted`` names: a name, a ``seq``, or None for the head now. Raises the problem of naming none."""
    if wanted is None:
        return await ledger.head(book)
    if not wanted.isdecimal():
        return await ledger.cut_named(book, wanted) or _no_such_cut()
    head = await ledger.head(book)
    seq = int(wanted)
    if seq > head.seq:
        raise invalid_field("?cut", f"the book ends at seq {head.seq}")
    last = await ledger.transfers(book, after=seq - 1, cut=seq, limit=1) if seq else []
    return Cut(name="", seq=seq, posted_at=last[0].posted_at if last else head.posted_at)


def _no_such_cut() -> Cut:
    raise not_found("cut")
