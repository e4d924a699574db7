"""Reading the feed."""

from __future__ import annotations

from collections.abc import Sequence

from ledger import Book, FeedEntry, Ledger, Position
from service.http.problems import Problem


async def read_feed(ledger: Ledger, book: Book, *, after: Position, limit: int) -> Sequence[FeedEntry]:
    """Entries after a position, oldest first. Raises the problem of a position that the feed has not come to."""
    found = await ledger.feed(book, after=after, limit=limit)
    if len(found) < limit:
        # Read afterwards: what is posted meanwhile moves the end on, and never back.
        end = await ledger.feed_end(book)
        if after.seq > end.seq or after.place > end.place:
            raise Problem(
                "position_beyond_end", "The feed ends before this position: the books were restored to an earlier time."
            )
    return found
