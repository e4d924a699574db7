"""The text of a mail that has only HTML: a line for each block, and what is quoted with `>` in front of it.

The HTML is parsed by the library that others build on (nh3, over html5ever, as browsers do it), because what is hostile in it
is endless; what it leaves is a handful of elements without attributes, which need no parser.
"""

from __future__ import annotations

import html
import re

import nh3

from service.providers.reading import storable

HTML_CHARACTERS_MAX = 32_768
"""A reply is at the top. Elements nested as deep as this allows take a third of a second."""
TEXT_CHARACTERS_MAX = 65_536

_BLOCKS = frozenset({"p", "div", "li", "tr", "h1", "h2", "h3", "pre", "hr", "br", "blockquote"})
_WITHOUT_TEXT = frozenset({"script", "style", "title"})
_ELEMENT = re.compile(r"<(/?)([a-z0-9]{1,10})>")
_SPACE = re.compile(r"\s+")


def text_of(written: str) -> str:
    """The text of HTML, as a plain text would have it."""
    left = nh3.clean(
        storable(written[:HTML_CHARACTERS_MAX]) or "",
        tags=set(_BLOCKS),
        clean_content_tags=set(_WITHOUT_TEXT),
        attributes={},
        link_rel=None,
    )
    lines: list[str] = []
    line, depth, at = "", 0, 0
    for element in _ELEMENT.finditer(left):
        line, at = line + left[at : element.start()], element.end()
        if line.strip() or element[2] == "br":
            lines.append(_line(line, depth))
        line = ""
        if element[2] == "blockquote":
            depth = max(0, depth - 1) if element[1] else depth + 1
    return "\n".join([*lines, _line(line + left[at:], depth)])[:TEXT_CHARACTERS_MAX].strip()


def _line(written: str, depth: int) -> str:
    # One sign says that it is quoted; more of them say nothing more.
    return ("> " if depth else "") + html.unescape(_SPACE.sub(" ", written).strip())
