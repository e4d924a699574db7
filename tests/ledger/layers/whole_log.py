"""The layers of a whole log, folded from its beginning in memory: what reading it in stretches must come to."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from ledger import Kind, Transfer
from ledger.layers.folding import LAYERED, Accounts, Issue, Move, Part, fold, kind_of, no_accounts


def fold_whole_log(log: Iterable[Transfer]) -> tuple[list[Part], Accounts]:
    """The parts of all transfers, and what all accounts have of each layer in the end."""
    accounts, parts = no_accounts(), list[Part]()
    issues: dict[int, Issue] = {}
    for _, legs in groupby(log, key=lambda transfer: transfer.transaction_id):
        transaction = list(legs)
        for transfer in transaction:
            if kind_of(transfer.debit) not in LAYERED and kind_of(transfer.credit) == Kind.LOT:
                accounts[transfer.credit].append((transfer.seq, transfer.amount))
                issues[transfer.seq] = Issue(transfer.customer, event_of(transfer))
        parts += fold([move_of(transfer) for transfer in transaction if kind_of(transfer.debit) in LAYERED], accounts, issues)
    return parts, accounts


def move_of(transfer: Transfer) -> Move:
    """A transfer as folding takes it."""
    return Move(
        transfer.seq,
        transfer.transaction_id,
        transfer.verb,
        transfer.debit,
        transfer.credit,
        transfer.amount,
        event_of(transfer),
    )


def event_of(transfer: Transfer) -> tuple[int, bytes] | None:
    """The event that a transfer is about."""
    no, key = transfer.campaign_no, transfer.event_key
    return None if no is None or key is None else (no, key)
