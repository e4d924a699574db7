"""What a user typed, in a journal: on one line, and without what ends it there.

hledger    a description ends at ``;``, a tag's value at ``,``; neither can be escaped, so another character stands for it
beancount  a text is in quotes and ends at one; ``\\`` escapes it
"""

from __future__ import annotations

import functools

_TEXTS_KEPT = 4_096


def one_line(text: str) -> str:
    """The text without control, format and private characters, and with single spaces between its words."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


@functools.lru_cache(_TEXTS_KEPT)
def hledger_description(text: str) -> str:
    """The text as a part of a description."""
    return one_line(text.replace(";", ","))


@functools.lru_cache(_TEXTS_KEPT)
def hledger_tag(text: str) -> str:
    """The text as a tag's value."""
    return one_line(text.replace(",", ";"))


@functools.lru_cache(_TEXTS_KEPT)
def beancount_text(text: str) -> str:
    """The text in quotes."""
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
