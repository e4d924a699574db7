"""Paths into JSON, a small part of JSONPath (RFC 9535): names and positions, and no search.

    $.user.email        $.items[0].id        $['odd name'].x

So a path costs as many steps as it has, whatever the document: a brand writes it, and it runs on every event.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias, cast

STEPS_MAX = 16

Path: TypeAlias = tuple[str | int, ...]

_STEP = re.compile(r"\.([A-Za-z_][\w-]{0,99})|\[(\d{1,4})\]|\['([^'\\]{1,100})'\]", re.ASCII)


class PathRefused(ValueError):
    """This is not a path; the message says why."""


def read_path(written: str) -> Path:
    """The steps of a path. Raises ``PathRefused``."""
    if not written.startswith("$"):
        raise PathRefused("must begin with $")
    steps: list[str | int] = []
    at = 1
    while at < len(written):
        found = _STEP.match(written, at)
        if found is None:
            raise PathRefused(f"cannot be read from character {at + 1}: write .name, ['name'] or [0]")
        steps.append(int(found[2]) if found[2] else found[1] or found[3])
        at = found.end()
    if len(steps) > STEPS_MAX:
        raise PathRefused(f"has more than {STEPS_MAX} steps")
    return tuple(steps)


def value_at(document: Any, path: Path) -> Any:
    """What is at a path, or None."""
    for step in path:
        if isinstance(step, str):
            document = cast("dict[str, Any]", document).get(step) if isinstance(document, dict) else None
        else:
            items = cast("list[Any]", document) if isinstance(document, list) else []
            document = items[step] if step < len(items) else None
    return document
