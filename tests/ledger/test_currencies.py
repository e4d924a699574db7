"""Amounts have as many decimals as their currency."""

from __future__ import annotations

import pytest

from ledger import decimal_text, decimals_of


@pytest.mark.parametrize(
    ("minor_units", "currency", "text"),
    [
        (1_234, "EUR", "12.34"),
        (5, "EUR", "0.05"),
        (0, "EUR", "0.00"),
        (-5, "EUR", "-0.05"),
        (-1_234, "EUR", "-12.34"),
        (1_234, "JPY", "1234"),
        (-7, "JPY", "-7"),
        (1_234, "KWD", "1.234"),
        (1_234, "XYZ", "12.34"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(minor_units: int, currency: str, text: str) -> None:
    assert decimal_text(minor_units, currency) == text
    assert len(text.partition(".")[2]) == decimals_of(currency)
