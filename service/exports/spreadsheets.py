"""Free text in a CSV cell, made harmless for spreadsheets."""

from __future__ import annotations

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutral(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula; other text stays as it is.

    Only for free text: a negative number is a number.
    """
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text
