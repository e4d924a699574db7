"""Which layers a transfer moves: by example, and for any history."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import Kind, OwnerTag, Verb, account_id
from ledger.layers.folding import UNKNOWN, Accounts, Issue, Move, Part, fold, kind_of, no_accounts

ADA, BOB = 7, 8
SOON, LATER = date(2030, 2, 28), date(2030, 3, 31)
BREAKAGE = account_id(OwnerTag.HOUSE, 0, Kind.BREAKAGE)
TRANSIT = account_id(OwnerTag.HOUSE, 0, Kind.TRANSIT)
NOBODY_ASKS: dict[int, Issue] = {}


def lot(customer: int, last_day: date = SOON) -> bytes:
    return account_id(OwnerTag.CUSTOMER, customer, Kind.LOT, expires_on=last_day)


def held(redemption: int, last_day: date = SOON) -> bytes:
    return account_id(OwnerTag.REDEMPTION, redemption, Kind.HELD, expires_on=last_day)


def spent(redemption: int, last_day: date = SOON) -> bytes:
    return account_id(OwnerTag.REDEMPTION, redemption, Kind.SPENT, expires_on=last_day)


def moved(
    accounts: Accounts, *moves: tuple[Verb, bytes, bytes, int], issues: dict[int, Issue] = NOBODY_ASKS, seq: int = 100
) -> list[list[tuple[int, int]]]:
    """The layers and points of each of ``moves``, which are one transaction."""
    made = [Move(seq + place, seq, *move) for place, move in enumerate(moves)]
    parts = fold(made, accounts, issues)
    return [[(part.layer, part.amount) for part in parts if part.seq == move.seq] for move in made]


def with_layers(account: bytes, *pieces: tuple[int, int]) -> Accounts:
    accounts = no_accounts()
    accounts[account] = list(pieces)
    return accounts


def test_the_oldest_layer_is_spent_first() -> None:
    accounts = with_layers(lot(ADA), (1, 10), (5, 20), (9, 30))
    assert moved(accounts, (Verb.AUTHORIZE, lot(ADA), held(100), 25)) == [[(1, 10), (5, 15)]]
    assert accounts[lot(ADA)] == [(5, 5), (9, 30)]
    assert accounts[held(100)] == [(1, 10), (5, 15)]


def test_what_comes_back_takes_its_old_place() -> None:
    accounts = with_layers(lot(ADA), (1, 10), (5, 20))
    moved(accounts, (Verb.AUTHORIZE, lot(ADA), held(100), 15))
    moved(accounts, (Verb.VOID, held(100), lot(ADA), 15), seq=200)
    assert accounts[lot(ADA)] == [(1, 10), (5, 20)]
    assert moved(accounts, (Verb.AUTHORIZE, lot(ADA), held(300), 12), seq=300) == [[(1, 10), (5, 2)]]


def test_a_capture_takes_the_oldest_and_gives_the_newest_back() -> None:
    accounts = with_layers(held(50), (1, 10), (5, 20), (9, 30))
    capture = (Verb.CAPTURE, held(50), spent(50), 25)
    release = (Verb.VOID, held(50), lot(ADA), 35)
    assert moved(accounts, capture, release) == [[(1, 10), (5, 15)], [(5, 5), (9, 30)]]


def test_a_refund_takes_the_newest_back() -> None:
    accounts = with_layers(spent(50), (1, 10), (5, 20), (9, 30))
    assert moved(accounts, (Verb.REFUND, spent(50), lot(ADA), 35)) == [[(5, 5), (9, 30)]]
    assert accounts[spent(50)] == [(1, 10), (5, 15)]


def test_a_merge_keeps_the_layers_of_each_last_day_together() -> None:
    accounts = with_layers(lot(ADA, SOON), (2, 10), (8, 5))
    accounts[lot(ADA, LATER)] = [(1, 4)]
    accounts[lot(BOB, SOON)] = [(3, 7)]
    out = [(Verb.MERGE, lot(ADA, SOON), TRANSIT, 15), (Verb.MERGE, lot(ADA, LATER), TRANSIT, 4)]
    into = [(Verb.MERGE, TRANSIT, lot(BOB, SOON), 15), (Verb.MERGE, TRANSIT, lot(BOB, LATER), 4)]
    assert moved(accounts, *out, *into) == [[(2, 10), (8, 5)], [(1, 4)]] * 2
    assert accounts[lot(BOB, SOON)] == [(2, 10), (3, 7), (8, 5)]
    assert accounts[lot(BOB, LATER)] == [(1, 4)]
    assert accounts[TRANSIT] == []


def test_held_back_points_have_no_layer_while_a_merge_moves_them() -> None:
    pending = [account_id(OwnerTag.CUSTOMER, customer, Kind.PENDING) for customer in (ADA, BOB)]
    accounts = with_layers(lot(ADA), (2, 10))
    out = [(Verb.MERGE, lot(ADA), TRANSIT, 10)]
    into = [(Verb.MERGE, TRANSIT, lot(BOB), 10), (Verb.MERGE, TRANSIT, pending[1], 6)]
    assert moved(accounts, *out, *into) == [[(2, 10)], [(2, 10)], []]


def test_a_split_gives_a_customer_their_own_layers_back_newest_first_and_then_the_newest_of_the_others() -> None:
    accounts = with_layers(lot(BOB), (1, 10), (2, 10), (3, 10), (4, 10))
    issues = {layer: Issue(customer, None) for layer, customer in ((1, ADA), (2, BOB), (3, ADA), (4, BOB))}
    split = [(Verb.SPLIT, lot(BOB), TRANSIT, 25), (Verb.SPLIT, TRANSIT, lot(ADA), 25)]
    moved(accounts, *split, issues=issues)
    assert accounts[lot(ADA)] == [(1, 10), (3, 10), (4, 5)]
    assert accounts[lot(BOB)] == [(2, 10), (4, 5)]


def test_a_split_takes_nothing_that_is_granted_later() -> None:
    accounts = with_layers(lot(BOB), (1, 10), (500, 10))
    issues = {1: Issue(BOB, None), 500: Issue(ADA, None)}
    split = [(Verb.SPLIT, lot(BOB), TRANSIT, 4), (Verb.SPLIT, TRANSIT, lot(ADA), 4)]
    assert moved(accounts, *split, issues=issues) == [[(1, 4)], [(1, 4)]]
    assert accounts[lot(BOB)] == [(1, 6), (500, 10)]


def test_a_clawback_takes_its_grant_first() -> None:
    accounts = with_layers(lot(ADA), (1, 10), (2, 10), (3, 10))
    issues = {layer: Issue(ADA, (1, bytes([layer]))) for layer in (1, 2, 3)}
    clawback = Move(100, 100, Verb.CLAWBACK, lot(ADA), BREAKAGE, 8, (1, bytes([2])))
    assert fold([clawback], accounts, issues) == [Part(100, 2, 8, lot(ADA), BREAKAGE)]


def test_what_an_account_does_not_have_is_of_no_known_layer() -> None:
    accounts = with_layers(lot(ADA), (1, 10))
    assert moved(accounts, (Verb.EXPIRE, lot(ADA), BREAKAGE, 15)) == [[(UNKNOWN, 5), (1, 10)]]


# ---- Any history

LOTS = [lot(customer, last_day) for customer in (ADA, BOB) for last_day in (SOON, LATER)]
ACCOUNTS = st.integers(0, 3)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["issue", "issue", "authorize", "authorize", "capture", "void", "refund", "expire", "merge", "split"]),
        ACCOUNTS,
        st.integers(1, 12),
    ),
    max_size=60,
)


class History:
    """A log as a ledger would post it, with its accounts' balances."""

    def __init__(self) -> None:
        self.seq = 0
        self.balances: defaultdict[bytes, int] = defaultdict(int)
        self.issues: dict[int, Issue] = {}
        self.accounts = no_accounts()
        self.holds: list[tuple[int, bytes]] = []

    def step(self, what: str, which: int, points: int) -> list[tuple[Verb, bytes, bytes, int]]:
        """The transfers of one step, if there is anything to move."""

        def there(account: bytes) -> int:
            return min(points, self.balances[account])

        number, origin = self.holds[which % len(self.holds)] if self.holds else (1, LOTS[0])
        last_day = (SOON, LATER)[LOTS.index(origin) % 2]
        hold, kept = held(number, last_day), spent(number, last_day)
        legs: dict[str, list[tuple[Verb, bytes, bytes, int]]] = {
            "authorize": [(Verb.AUTHORIZE, LOTS[which], held(self.seq + 1, (SOON, LATER)[which % 2]), there(LOTS[which]))],
            "capture": [(Verb.CAPTURE, hold, kept, there(hold))],
            "void": [(Verb.VOID, hold, origin, self.balances[hold])],
            "refund": [(Verb.REFUND, kept, origin, there(kept))],
            "expire": [(Verb.EXPIRE, LOTS[which], BREAKAGE, self.balances[LOTS[which]])],
            "merge": self._through_transit(Verb.MERGE, LOTS[:2], LOTS[2:], 10**6),
            "split": self._through_transit(Verb.SPLIT, LOTS[2:], LOTS[:2], points),
        }
        return [leg for leg in legs[what] if leg[3]]

    def _through_transit(
        self, verb: Verb, out: list[bytes], into: list[bytes], points: int
    ) -> list[tuple[Verb, bytes, bytes, int]]:
        amounts = [min(points, self.balances[account]) for account in out]
        leaving = [(verb, account, TRANSIT, amount) for account, amount in zip(out, amounts, strict=True)]
        return [*leaving, *((verb, TRANSIT, account, amount) for account, amount in zip(into, amounts, strict=True))]

    def issue(self, which: int, points: int) -> None:
        """Grant points."""
        self.seq += 1
        self.issues[self.seq] = Issue((ADA, BOB)[which // 2], None)
        self.balances[LOTS[which]] += points
        self.accounts[LOTS[which]].append((self.seq, points))

    def post(self, which: int, legs: list[Any]) -> list[tuple[Move, list[Part]]]:
        """Post a transaction; returns each transfer with its parts."""
        if legs[0][0] is Verb.AUTHORIZE:
            self.holds.append((self.seq + 1, LOTS[which]))
        moves = [Move(self.seq + place, self.seq + 1, *leg) for place, leg in enumerate(legs, 1)]
        self.seq += len(moves)
        for move in moves:
            self.balances[move.debit] -= move.amount
            self.balances[move.credit] += move.amount
        parts = fold(moves, self.accounts, self.issues)
        return [(move, [part for part in parts if part.seq == move.seq]) for move in moves]


@given(STEPS)
def test_layers_add_up_to_every_account_at_every_seq_and_the_oldest_of_a_lot_goes_first(steps: list[Any]) -> None:
    history = History()
    for what, which, points in steps:
        if what == "issue":
            history.issue(which, points)
        elif legs := history.step(what, which, points):
            before = {account: list(pieces) for account, pieces in history.accounts.items()}
            for move, parts in history.post(which, legs):
                assert sum(part.amount for part in parts) == move.amount
                assert all(part.layer != UNKNOWN and part.amount > 0 for part in parts)
                if move.verb in (Verb.AUTHORIZE, Verb.EXPIRE):
                    layers = [layer for layer, _ in before[move.debit]]
                    assert [part.layer for part in parts] == layers[: len(parts)]
        layered = {account: pieces for account, pieces in history.accounts.items() if kind_of(account) != Kind.BREAKAGE}
        for account, pieces in layered.items():
            assert sum(amount for _, amount in pieces) == history.balances[account]
            assert all(amount > 0 for _, amount in pieces)
            assert pieces == sorted(pieces)


@pytest.mark.parametrize("kind", [Kind.LOT, Kind.HELD, Kind.SPENT, Kind.TRANSIT])
def test_an_accounts_kind_is_read_from_its_id(kind: Kind) -> None:
    assert kind_of(account_id(OwnerTag.CUSTOMER, 1, kind)) == kind
