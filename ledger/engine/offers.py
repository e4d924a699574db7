"""What becomes of offers that nobody claims: one call for many of a book, under its head's lock.

An offer is claimed by a grant under its key (`ledger.events.offer_key`), or lapses under the same key: whatever comes first is
what it is decided as. Both calls are safe to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from ledger.types import Book, GrantOutcome, OfferNote, OfferNoted

_NOTE = "SELECT decided, noted FROM ledger.note_offers_v1($1, $2, $3, $4)"
_OPEN = 0

_encode = msgspec.json.Encoder().encode


async def note_offers(pool: asyncpg.Pool[Any], book: Book, notes: Sequence[OfferNote]) -> list[OfferNoted]:
    """Note each of ``notes``, in order, unless its offer is decided or it was noted before."""
    if not notes:
        return []
    items = _encode([_item(note) for note in notes]).decode()
    row = await pool.fetchrow(_NOTE, book.brand_id, book.book_id, datetime.now(UTC), items)
    assert row is not None
    return [
        OfferNoted(None if decided == _OPEN else GrantOutcome(decided), is_new)
        for decided, is_new in zip(row["decided"], row["noted"], strict=True)
    ]


def _item(note: OfferNote) -> dict[str, Any]:
    """A note as ``note_offers_v1`` has it."""
    return {
        "kind": note.notice,
        "campaign": note.campaign_no,
        "version": note.campaign_version,
        "customer": note.customer,
        "generation": note.generation,
        "keys": [key.hex() for key in note.keys],
        "notices": [key.hex() for key in note.notice_keys],
        "group": note.offer_group,
        "channel": note.channel,
        "message": note.message_id,
        "at": note.at,
    }
