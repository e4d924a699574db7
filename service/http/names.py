"""From bytes to a name: the same for a path, a body, a file and the command line.

    name_of      what bytes spell; they must be UTF-8, or two names could become one
    refusal_of   why a text cannot be what a brand calls something
    segments_of  the names in a path, split before anything is decoded, so that a name may hold a slash
    pairs_of     the names and values in a query

A name is kept as it is spelled: no letter is put into another form, and nothing in it means anything to us.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from service.admission.limits import NAME_BYTES_MAX, PARAMETERS_MAX

_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOT_ESCAPED = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class NotAName(ValueError):
    """These bytes are no valid name; the message tells the sender why."""


def name_of(raw: bytes) -> str:
    """What bytes spell. Raises ``NotAName``."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise NotAName("must be UTF-8") from None


def refusal_of(name: str) -> str | None:
    """Why a text cannot be what a brand calls something; ``None`` if it can."""
    if not name:
        return "must not be empty"
    if _CONTROL_CHARACTERS.search(name):
        return "must not contain control characters"
    if len(name.encode(errors="surrogatepass")) > NAME_BYTES_MAX:
        return f"must be at most {NAME_BYTES_MAX} bytes of UTF-8"
    return None


def segments_of(raw_path: bytes) -> list[str]:
    """What stands between the slashes of a path as it was sent. Raises ``NotAName``."""
    return [_unescaped(segment) for segment in raw_path.split(b"/")]


def pairs_of(query: bytes) -> list[tuple[str, str]]:
    """The parameters of a query, in order. Raises ``NotAName``, also for too many."""
    fields = [field for field in query.split(b"&", PARAMETERS_MAX) if field]
    if len(fields) > PARAMETERS_MAX:
        raise NotAName(f"must have at most {PARAMETERS_MAX} parameters")
    parts = [field.replace(b"+", b" ").partition(b"=") for field in fields]
    return [(_unescaped(name), _unescaped(value)) for name, _, value in parts]


def _unescaped(sent: bytes) -> str:
    if _NOT_ESCAPED.search(sent):
        raise NotAName("has a % that is not followed by two hexadecimal digits: a % is written %25")
    return name_of(unquote_to_bytes(sent))
