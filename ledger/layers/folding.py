"""Which layers each transfer moves. Pure, and total: it has an answer for whatever a log says.

    lot       the oldest layer goes first, whenever it came in
    held      the same: a capture takes the oldest, and what is given back is the newest
    spent     the newest goes first: a refund takes back what was captured last
    transit   what came first goes first, so that a merge puts each lot's layers into the lot of the same last day

A split gives a customer the layers that were granted to them, newest first, and then the newest of the others. A claw-back
takes the layer of its grant first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from ledger.chart import OWNER_BYTES, Kind, number_of
from ledger.types import Verb

UNKNOWN = 0
"""The layer of points that an account does not have. A sound log never takes any; the audit reports it."""

EventKey = tuple[int, bytes]
Pieces = list[tuple[int, int]]
"""An account's layers and how many points of each it has, oldest first; in transit as they came."""


class Move(NamedTuple):
    """A transfer that takes points of layers from an account. ``event`` is the grant that a claw-back is about."""

    seq: int
    transaction: int
    verb: int
    debit: bytes
    credit: bytes
    amount: int
    event: EventKey | None = None


class Part(NamedTuple):
    """How many points of one layer a transfer moves."""

    seq: int
    layer: int
    amount: int
    debit: bytes
    credit: bytes


class Issue(NamedTuple):
    """To whom a layer was granted, and by which event."""

    customer: int | None
    event: EventKey | None


Accounts = defaultdict[bytes, Pieces]
LAYERED = frozenset((Kind.LOT, Kind.HELD, Kind.SPENT, Kind.TRANSIT))
CHOOSING = frozenset((Verb.SPLIT, Verb.CLAWBACK))
"""What does not simply take the oldest layer: it asks to whom each was granted, and for which event."""


def kind_of(account: bytes) -> int:
    """An account's kind."""
    return account[OWNER_BYTES] >> 4


def no_accounts() -> Accounts:
    """Accounts without layers."""
    return defaultdict(list)


def fold(moves: Iterable[Move], accounts: Accounts, issues: Mapping[int, Issue]) -> list[Part]:
    """The parts of ``moves``, which are whole transactions in the order of the log. Changes ``accounts`` to what they have
    afterwards. Only splits and claw-backs ask for ``issues``.
    """
    parts: list[Part] = []
    for _, transaction in groupby(moves, key=lambda move: move.transaction):
        legs = list(transaction)
        for move in legs:
            # Held-back points have no layer before they mature, also when a merge moves them.
            if kind_of(move.credit) != Kind.PENDING:
                parts += _move(move, accounts, _preference(move, legs[-1], issues))
    return parts


def _preference(move: Move, last: Move, issues: Mapping[int, Issue]) -> Callable[[int], bool] | None:
    """Which layers a transfer takes before others, newest first; ``None`` if it takes the oldest. ``last`` is the last one of
    its transaction.
    """
    nobody = Issue(None, None)
    if move.verb == Verb.SPLIT:
        customer = number_of(last.credit)
        return lambda layer: issues.get(layer, nobody).customer == customer
    if move.verb == Verb.CLAWBACK:
        return lambda layer: issues.get(layer, nobody).event == move.event
    return None


def _move(move: Move, accounts: Accounts, prefers: Callable[[int], bool] | None) -> list[Part]:
    pieces = accounts[move.debit]
    kind = kind_of(move.debit)
    if kind == Kind.LOT and prefers is not None:
        taken = _take_in_order(pieces, move, lambda layer: (not prefers(layer), -layer))
    elif kind == Kind.SPENT:
        taken = _take_in_order(pieces, move, lambda layer: (-layer,))
    else:
        taken = _take(pieces, move.amount)
    if (into := kind_of(move.credit)) in LAYERED:
        (_queue if into == Kind.TRANSIT else _put)(accounts[move.credit], taken)
    return [Part(move.seq, layer, amount, move.debit, move.credit) for layer, amount in _summed(taken)]


def _take(pieces: Pieces, amount: int) -> Pieces:
    """Take ``amount`` from the front of ``pieces``. What is missing is of the unknown layer."""
    taken: Pieces = []
    whole = 0
    while amount and whole < len(pieces):
        layer, there = pieces[whole]
        taken.append((layer, min(there, amount)))
        if there > amount:
            pieces[whole] = (layer, there - amount)
        else:
            whole += 1
        amount -= taken[-1][1]
    del pieces[:whole]
    return [*taken, (UNKNOWN, amount)] if amount else taken


def _take_in_order(pieces: Pieces, move: Move, order: Callable[[int], tuple[int, ...]]) -> Pieces:
    """The same by another order, of what was there by the time of ``move``."""
    there = sorted((piece for piece in pieces if piece[0] < move.seq), key=lambda piece: order(piece[0]))
    taken = _take(there, move.amount)
    pieces[:] = sorted([*there, *(piece for piece in pieces if piece[0] > move.seq)])
    return taken


def _put(pieces: Pieces, taken: Pieces) -> None:
    for layer, amount in taken:
        at = bisect_left(pieces, (layer,))
        if at < len(pieces) and pieces[at][0] == layer:
            pieces[at] = (layer, pieces[at][1] + amount)
        else:
            pieces.insert(at, (layer, amount))


def _queue(pieces: Pieces, taken: Pieces) -> None:
    pieces += taken


def _summed(taken: Pieces) -> Pieces:
    """The points by layer: in transit a layer may lie in more than one piece."""
    pieces: Pieces = []
    _put(pieces, taken)
    return pieces
