"""The states of an identity, as a table; what may not be kept as proof."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.customers.identities import IdentityKind, identity
from service.customers.verification.rules import Step, on_proof, on_withdrawal, reveals_name
from service.settings import IdentityKey

KEYS = (IdentityKey(key_no=1, key=bytes(32)), IdentityKey(key_no=2, key=bytes(range(32))))

UNVERIFIED = None
PROOFS = [  # verified by the proof of this number, and this one was taken as
    (UNVERIFIED, None, Step.VERIFY),
    (UNVERIFIED, 3, Step.REFUSE),
    (5, None, Step.ADD_PROOF),
    (5, 5, Step.NOTHING),
    (5, 7, Step.NOTHING),
    (5, 3, Step.REFUSE),
]


@pytest.mark.parametrize(("verified_by", "recorded_as", "step"), PROOFS)
def test_a_proof_counts_once_and_not_after_it_was_withdrawn(
    verified_by: int | None, recorded_as: int | None, step: Step
) -> None:
    assert on_proof(verified_by, recorded_as) is step


WITHDRAWALS = [(UNVERIFIED, Step.NOTHING), (5, Step.WITHDRAW)]


@pytest.mark.parametrize(("verified_by", "step"), WITHDRAWALS)
def test_only_what_is_verified_can_be_withdrawn(verified_by: int | None, step: Step) -> None:
    assert on_withdrawal(verified_by) is step


class Name:
    """An identity as the statements would keep it."""

    def __init__(self) -> None:
        self.history: list[str | None] = []
        self.verified_by: int | None = None

    def send(self, proof: str | None) -> Step:
        """Send a proof, or a withdrawal."""
        if proof is None:
            step = on_withdrawal(self.verified_by)
        else:
            step = on_proof(self.verified_by, self.history.index(proof) if proof in self.history else None)
        if step in {Step.VERIFY, Step.ADD_PROOF, Step.WITHDRAW}:
            self.history.append(proof)
        if step is Step.VERIFY:
            self.verified_by = len(self.history) - 1
        if step is Step.WITHDRAW:
            self.verified_by = None
        return step


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=12))
def test_the_state_is_what_the_whole_history_says(sent: list[str | None]) -> None:
    name = Name()
    withdrawn: set[str] = set()
    counting: list[str] = []
    for proof in sent:
        step = name.send(proof)
        if proof is None:
            withdrawn |= set(counting)
            counting = []
        elif proof not in withdrawn and proof not in counting:
            counting.append(proof)
        # Verified is who has a proof that was not withdrawn, and the first of them is the one that says so.
        assert (name.verified_by is not None) == bool(counting)
        assert name.verified_by is None or name.history[name.verified_by] == counting[0]
        # A copy of it changes nothing.
        assert name.send(proof) in {Step.NOTHING, Step.REFUSE}
        assert (step is Step.REFUSE) == (proof in withdrawn)


GIVES_AWAY = [
    ("email", "ada@example.org", "otp-7f3a91", False),
    ("email", "ada@example.org", "ada@example.org", True),
    ("email", "ada@example.org", "Ada@Example.ORG", True),
    ("email", "ada@example.org", "sent to bob@example.org", True),
    ("email", "ada@example.org", "ada at example", False),
    ("phone", "+4930901820", "+49 (30) 901-820", True),
    ("phone", "+4930901820", "4930901820", True),
    ("phone", "+4930901820", "0049 30 901820", True),
    ("phone", "+4930901820", "called +1 415 555 0100", True),
    ("phone", "+4930901820", "2026-11-22T09:30:00+01:00", False),
    ("phone", "+4930901820", "20261122093000", False),
    ("id", "C-1001", "C-1001", True),
    ("id", "C-1001", "scan of C-1001", False),
    ("device", "installation 7", "installation 7", True),
]


@pytest.mark.parametrize(("kind", "name", "text", "gives"), GIVES_AWAY)
def test_the_name_itself_is_no_proof(kind: str, name: str, text: str, gives: bool) -> None:
    for keys in (KEYS, KEYS[:1]):
        stored = identity(KEYS[:1], 7, IdentityKind[kind.upper()], name)
        assert stored is not None
        assert reveals_name(text, keys, 7, stored.kind, stored.mac) is gives
