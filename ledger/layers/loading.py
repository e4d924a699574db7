"""What folding a stretch of the log needs to know, read from the tables.

Of a lot only what is used is kept: up to which ``seq`` what came in has been entered, and how much is left of each layer that
was. Whatever came in later is whole, and is read from the log when somebody spends it, as far as they do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from ledger.chart import Kind, OwnerTag, number_of
from ledger.layers.folding import CHOOSING, Accounts, Issue, Move, Part, Pieces, fold, kind_of, no_accounts
from ledger.types import Book

ISSUES_AT_ONCE = 40
"""How many layers of a lot are read at first; those who spend more read on in larger steps."""

Database: TypeAlias = "asyncpg.Connection[Any] | asyncpg.Pool[Any]"

_SQL = Path(__file__).with_name("sql")


def statement(name: str) -> str:
    """A statement of the layers, by its file's name."""
    return (_SQL / f"{name}.sql").read_text()


_ISSUED = statement("issued")
_REDEMPTION_PIECES = statement("redemption_pieces")
_LOTS = "SELECT lot, entered, layers, amounts FROM ledger.lot_layers WHERE book_id = $1 AND lot = ANY ($2)"
_ISSUES = "SELECT seq, customer, campaign_no, event_key FROM ledger.transfer WHERE book_id = $1 AND seq = ANY ($2)"
_PLACE = statement("place")


class Place(msgspec.Struct, frozen=True):
    """Where a book's log ends, how far its layers have been read, and how much of it is ``added`` to the daily movements. While
    ``clearing``, nothing that is kept counts.
    """

    head: int
    read: int
    added: int
    clearing: bool


class LotLayers(msgspec.Struct, frozen=True):
    """What is left of the layers that a lot got up to ``entered``, and of those that came from other accounts."""

    entered: int = 0
    pieces: tuple[tuple[int, int], ...] = ()


class Folded(msgspec.Struct, frozen=True):
    """What a stretch of the log comes to: the parts of its transfers, and the lots that are not as they were."""

    parts: list[Part]
    lots: dict[bytes, LotLayers]


async def place_of(connection: Database, book: Book) -> Place | None:
    """How far the layers of a book have been read; ``None`` if it is not the brand's."""
    row = await connection.fetchrow(_PLACE, book.book_id, book.brand_id)
    return None if row is None else Place(row["seq"], row["read"], row["added"], bool(row["clearing"]))


def move_of(row: asyncpg.Record) -> Move:
    """A transfer as the statements return it."""
    event = None if row["event_key"] is None else (row["campaign_no"], row["event_key"])
    return Move(row["seq"], row["transaction"], row["verb"], row["debit"], row["credit"], row["amount"], event)


def without_last_transaction(moves: Sequence[Move]) -> tuple[Sequence[Move], int]:
    """``moves`` that were cut off somewhere, without the transaction that may go on behind them, and where they end then."""
    last = moves[-1].transaction
    return [move for move in moves if move.transaction != last], last - 1


async def fold_stretch(connection: Database, book_id: int, read: int, moves: Sequence[Move]) -> Folded:
    """Fold ``moves``, which follow on ``read`` and are all there are of the customers concerned."""
    if not moves:
        return Folded([], {})
    kept = await _kept_lots(connection, book_id, read, moves)
    issued = await _issued(connection, book_id, moves, kept)
    accounts = await _redemption_accounts(connection, book_id, read, moves)
    for lot in kept:
        accounts[lot] = sorted([*kept[lot].pieces, *issued[lot]])
    issues = await _issues(connection, book_id, moves, accounts)
    parts = fold(moves, accounts, issues)
    return Folded(parts, _changed(kept, issued, accounts))


async def _kept_lots(connection: Database, book_id: int, read: int, moves: Sequence[Move]) -> dict[bytes, LotLayers]:
    lots = {account for move in moves for account in (move.debit, move.credit) if kind_of(account) == Kind.LOT}
    rows = await connection.fetch(_LOTS, book_id, list(lots)) if read else []
    known = {row["lot"]: LotLayers(row["entered"], tuple(zip(row["layers"], row["amounts"], strict=True))) for row in rows}
    return {lot: known.get(lot, LotLayers()) for lot in sorted(lots)}


async def _issued(
    connection: Database, book_id: int, moves: Sequence[Move], kept: Mapping[bytes, LotLayers]
) -> defaultdict[bytes, Pieces]:
    """What came into the lots that is whole still, as far as ``moves`` may need it: what they take, or all if they choose."""
    issued: defaultdict[bytes, Pieces] = defaultdict(list)
    missing: dict[bytes, float] = defaultdict(int)
    for move in moves:
        if kind_of(move.debit) == Kind.LOT:
            missing[move.debit] += float("inf") if move.verb in CHOOSING else move.amount
    limit = ISSUES_AT_ONCE
    while missing:
        after = [issued[lot][-1][0] if issued[lot] else kept[lot].entered for lot in missing]
        customers = [number_of(lot) for lot in missing]
        rows = await connection.fetch(_ISSUED, book_id, moves[-1].seq, limit, customers, list(missing), after)
        found: defaultdict[bytes, Pieces] = defaultdict(list)
        for lot, seq, amount in rows:
            found[lot].append((seq, amount))
        for lot, pieces in found.items():
            issued[lot] += pieces
            missing[lot] -= sum(amount for _, amount in pieces)
        missing = {lot: points for lot, points in missing.items() if points > 0 and len(found[lot]) == limit}
        limit *= 8
    return issued


async def _redemption_accounts(connection: Database, book_id: int, read: int, moves: Sequence[Move]) -> Accounts:
    """What the redemptions that began before hold and have spent."""
    begun = {redemption for move in moves if (redemption := redemption_of(move.debit)) is not None and redemption <= read}
    accounts = no_accounts()
    if not begun:
        return accounts
    for debit, credit, layer, amount in await connection.fetch(_REDEMPTION_PIECES, book_id, list(begun)):
        for account, points in ((debit, -amount), (credit, amount)):
            if redemption_of(account) is not None:
                accounts[account].append((layer, points))
    for account, pieces in accounts.items():
        accounts[account] = _summed(pieces)
    return accounts


def redemption_of(account: bytes) -> int | None:
    """Whose account it is, if it is a redemption's."""
    return number_of(account) if account[0] == OwnerTag.REDEMPTION else None


def _summed(pieces: Iterable[tuple[int, int]]) -> Pieces:
    sums: defaultdict[int, int] = defaultdict(int)
    for layer, points in pieces:
        sums[layer] += points
    return sorted((layer, points) for layer, points in sums.items() if points)


async def _issues(connection: Database, book_id: int, moves: Sequence[Move], accounts: Accounts) -> dict[int, Issue]:
    """To whom the layers were granted, if a move asks."""
    if not any(move.verb in CHOOSING for move in moves):
        return {}
    layers = {layer for pieces in accounts.values() for layer, _ in pieces}
    rows = await connection.fetch(_ISSUES, book_id, list(layers))
    return {seq: Issue(customer, None if key is None else (campaign, key)) for seq, customer, campaign, key in rows}


def _changed(kept: Mapping[bytes, LotLayers], issued: Mapping[bytes, Pieces], accounts: Accounts) -> dict[bytes, LotLayers]:
    after = {lot: _lot_layers(kept[lot].entered, issued.get(lot, []), accounts[lot]) for lot in kept}
    return {lot: layers for lot, layers in after.items() if layers != kept[lot]}


def _lot_layers(entered: int, issued: Pieces, pieces: Pieces) -> LotLayers:
    """What is to be kept of a lot: nothing of what came in after the last layer that was touched."""
    whole = set(issued).intersection(pieces)
    entered = max([entered, *(layer for layer, amount in issued if (layer, amount) not in whole)])
    return LotLayers(entered, tuple(piece for piece in pieces if piece not in whole or piece[0] < entered))
