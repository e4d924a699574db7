"""How long to wait before what failed is tried again."""

from __future__ import annotations

_DOUBLINGS_MAX = 60
"""It may fail for days, and no float holds a thousand doublings."""


def backoff_s(failures: int, *, first_s: float, max_s: float) -> float:
    """Twice as long after each failure: ``first_s`` after the first, ``max_s`` in the end."""
    return min(first_s * 2 ** min(failures - 1, _DOUBLINGS_MAX), max_s)
