"""How much work something is: counted in calls, so that it is the same on every machine and however busy it is."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(work: Callable[[int], object], size: int) -> int:
    """Count the calls, of our own code and of the interpreter's, that ``work`` makes for an input of ``size``."""
    calls = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    collects, before = gc.isenabled(), sys.getprofile()
    # What the collector calls meanwhile depends on what ran before.
    gc.disable()
    sys.setprofile(note)
    try:
        work(size)
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return calls
