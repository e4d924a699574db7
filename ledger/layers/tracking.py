"""Keeps the layers of a book's transfers up to date: reads the log on from where it has come, a stretch at a time. Behind it
follows what adds the same transfers to the daily movements.

What a stretch comes to is kept in the same statement that moves the reader on, and only if the reader is still where the
stretch begins. So each transfer is kept exactly once, even if a reader is killed or several read at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.layers import loading
from ledger.layers.folding import Move
from ledger.layers.loading import Database, Folded, LotLayers, Place, redemption_of
from ledger.types import Book

TRANSFERS_AT_ONCE = 50_000
"""How much of the log one stretch reads past, in some 10 ms: most of it is grants."""

MOVES_AT_ONCE = 500
"""How many transfers one stretch takes apart. One may move hundreds of layers."""

ADDED_AT_ONCE = 5_000
"""How many transfers are added to the daily movements in one statement, of as many layers: for each an event is looked up, of a
layer that may be a year old on a page that is not in memory.
"""

ROWS_CLEARED_AT_ONCE = 20_000

_MOVES = loading.statement("moves")
_KEEP = "SELECT ledger.keep_layers_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
_TRANSACTION = "SELECT coalesce(transaction_id, seq) FROM ledger.transfer WHERE book_id = $1 AND seq = $2"
_KEEP_MOVEMENTS = "SELECT ledger.keep_movements_v1($1, $2, $3)"
_CLEAR = "SELECT ledger.clear_layers_v1($1, $2, $3)"


async def track_layers(database: Database, book: Book, *, moves: int = MOVES_AT_ONCE) -> int:
    """Read one stretch. Returns how many transfers of the log are left; 0 when all are read. Needs the worker's role."""
    place = await loading.place_of(database, book)
    if place is None:
        return 0
    if place.clearing:
        await clear_layers(database, book)
        return place.head
    if place.added == place.head:
        return 0
    left = await _read_on(database, book, place, moves) if place.read < place.head else 0
    return max(left, await database.fetchval(_KEEP_MOVEMENTS, book.brand_id, book.book_id, ADDED_AT_ONCE))


async def _read_on(database: Database, book: Book, place: Place, moves: int) -> int:
    stretch, through = await _stretch(database, book, place, TRANSFERS_AT_ONCE, moves)
    folded = await loading.fold_stretch(database, book.book_id, place.read, stretch)
    kept = await database.fetchval(_KEEP, book.brand_id, book.book_id, place.read, through, *_columns(folded))
    return place.head - (through if kept else place.read)


async def clear_layers(database: Database, book: Book) -> bool:
    """Begin to build a book's layers again: forget some of what is kept. Returns whether there is more to forget."""
    return await database.fetchval(_CLEAR, book.brand_id, book.book_id, ROWS_CLEARED_AT_ONCE)


async def _stretch(database: Database, book: Book, place: Place, transfers: int, moves: int) -> tuple[Sequence[Move], int]:
    """The moves of the next stretch, which are whole transactions, and where it ends."""
    through = min(place.head, place.read + transfers)
    found = [loading.move_of(row) for row in await database.fetch(_MOVES, book.book_id, place.read, through, moves)]
    goes_on = through < place.head and await database.fetchval(_TRANSACTION, book.book_id, through + 1)
    if not found or (len(found) < moves and goes_on != found[-1].transaction):
        return found, through
    whole, until = loading.without_last_transaction(found)
    return (whole, until) if until > place.read else await _stretch(database, book, place, 2 * transfers, 2 * moves)


def _columns(folded: Folded) -> tuple[list[Any], ...]:
    return (*_columns_of_parts(folded), *_columns_of_lots(list(folded.lots.items())))


def _columns_of_parts(folded: Folded) -> tuple[list[Any], ...]:
    parts = folded.parts
    return (
        [part.seq for part in parts],
        [part.layer for part in parts],
        [part.amount for part in parts],
        [redemption_of(part.debit) or redemption_of(part.credit) for part in parts],
    )


def _columns_of_lots(lots: list[tuple[bytes, LotLayers]]) -> tuple[list[Any], ...]:
    pieces = [piece for _, kept in lots for piece in kept.pieces]
    return (
        [lot for lot, _ in lots],
        [kept.entered for _, kept in lots],
        [len(kept.pieces) for _, kept in lots],
        [layer for layer, _ in pieces],
        [amount for _, amount in pieces],
    )
