"""What customers tell about themselves: an action that begins with ``data.`` pays once per customer, field and version.

The report's metadata says which field, in which version, and under which consent it was given; without these it is refused. The
message that it came by is no part of the event, and is kept in the metadata. Such an event neither proves a person on a message
nor is paid by such proof.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from service.campaigns.rules import VOLUNTEERED
from service.http.problems import Problem, invalid_field

MESSAGE_ID = "data"
"""The message id of all such events."""

_RULES = {
    "consent_receipt_id": (re.compile(r"[^\x00-\x1f\x7f]{1,256}"), "the id of the consent receipt under which it was given"),
    "field": (re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}"), "the field or question, such as birthday"),
    "field_version": (re.compile(r"[A-Za-z0-9_.-]{1,32}"), "the version of the field or question, such as 2"),
}


def once_per(metadata: Mapping[str, object] | None) -> str | Problem:
    """What such an event counts once per, its field and version; or what its metadata lacks."""
    given = {name: _text((metadata or {}).get(name)) for name in _RULES}
    for name, (pattern, meaning) in _RULES.items():
        if not pattern.fullmatch(given[name]):
            return invalid_field(f"/metadata/{name}", f"must be {meaning}: actions that begin with {VOLUNTEERED} need it")
    # Neither has an @, so no two pairs are spelt alike.
    return f"{given['field']}@{given['field_version']}"


def _text(given: object) -> str:
    return str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
