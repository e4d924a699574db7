"""A receipt shows what was decided, to its own customer, for a while."""

from __future__ import annotations

import msgspec
import pytest

from service.settings import LinkKey
from service.tokens.receipt import LIFE_S, ClaimReceipt, receipt_keys, seal, unseal

OLD, NEW = LinkKey("old", bytes(32)), LinkKey("new", bytes(range(32)))
RECEIPT = ClaimReceipt(
    brand="bluebird",
    destination_no=3,
    campaign_no=7,
    campaign_version=2,
    page="claimed",
    points=25,
    balance=1_250,
    issued_at=1_795_000_000,
)
SEALED = seal(RECEIPT, receipt_keys([OLD, NEW]))


def test_what_was_sealed_comes_back_also_under_an_older_key() -> None:
    assert unseal(SEALED, receipt_keys([OLD, NEW])) == RECEIPT
    assert unseal(seal(RECEIPT, receipt_keys([OLD])), receipt_keys([OLD, NEW])) == RECEIPT


@pytest.mark.parametrize("position", range(0, len(SEALED) - 1, 3))
def test_nothing_in_it_can_be_changed(position: int) -> None:
    other = "A" if SEALED[position] != "A" else "B"
    assert unseal(SEALED[:position] + other + SEALED[position + 1 :], receipt_keys([OLD, NEW])) is None


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "=", "." * 50, SEALED[:-4], SEALED + "AAAA"])
def test_what_is_no_receipt_is_refused(text: str) -> None:
    assert unseal(text, receipt_keys([OLD, NEW])) is None


def test_another_installations_receipt_is_refused() -> None:
    assert unseal(SEALED, receipt_keys([OLD])) is None


def test_the_balance_is_shown_for_a_quarter_of_an_hour() -> None:
    assert RECEIPT.is_fresh(RECEIPT.issued_at + LIFE_S - 1)
    assert not RECEIPT.is_fresh(RECEIPT.issued_at + LIFE_S)
    assert msgspec.structs.replace(RECEIPT, issued_at=0).is_fresh(0)
