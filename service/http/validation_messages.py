"""What the decoder says of a value, said so that its sender knows what would be right."""

from __future__ import annotations

import re

NO_CONTROL_CHARACTERS = "^[^\\x00-\\x1f\\x7f-\\x9f]*$(?!\\n)"
"""The pattern of texts that are kept as they are sent. (A dollar alone would let one line feed pass at the end.)"""

_WORDS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"^Expected `int`, got `(float|bool|str)`$"), r"must be a whole number such as 1, not a \1"),
    (re.compile(r"^Expected `(\w+)` >= (\S+)$"), r"must be at least \2"),
    (re.compile(r"^Expected `(\w+)` <= (\S+)$"), r"must be at most \2"),
    (re.compile(r"^Expected `str` of length >= 1$"), r"must not be empty"),
    (re.compile(r"^Expected `str` of length <= (\d+)$"), r"must be at most \1 characters long"),
    (re.compile(r"^Expected `array` of length <= (\d+)$"), r"must have at most \1 items"),
    (re.compile(r"^Expected `array` of length >= (\d+)$"), r"must have at least \1 items"),
    (
        re.compile(r"^Expected `str` matching regex " + re.escape(repr(NO_CONTROL_CHARACTERS)) + "$"),
        r"must not contain control characters",
    ),
    (re.compile(r"^Expected `str` matching regex '(.*?)(\(\?!\\\\n\))?'$"), r"must match \1"),
    (re.compile(r"^Integer value out of range$"), r"is too large"),
    (re.compile(r"^Invalid RFC3339 encoded datetime$"), r"must be a time such as 2026-11-22T09:30:00Z"),
    (re.compile(r"^Expected `datetime` with a timezone component$"), r"must have a time zone, as in 2026-11-22T09:30:00Z"),
    (re.compile(r"^Invalid enum value (.*)$"), r"must be one of the values listed in the API's description, not \1"),
    (re.compile(r"^Expected `(.*?)`, got `(\w+)`$"), r"must be of type \1, not \2"),
]


def describe(says: str) -> str:
    """Turn a message of msgspec into what must be done: ``must be at least 1``."""
    for pattern, words in _WORDS:
        if pattern.match(says):
            return pattern.sub(words, says)
    return says[:1].lower() + says[1:]
