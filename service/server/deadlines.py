"""How long a connection may stand where it stands.

Nothing is timed for a request. Once a second all connections are looked at (``AdmissionControl.check``): what stands as it
stood before is given up when its time is over. So a request that comes in one piece pays for none of it.

    Phase       what a connection is about
    Deadlines   whether it has been about that for too long
"""

from __future__ import annotations

import enum
from typing import Any

from service.admission.limits import Bounds


class Phase(enum.Enum):
    """What a connection is about."""

    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWERING = enum.auto()
    IDLE = enum.auto()
    DROPPING = enum.auto()
    CLOSING = enum.auto()


class Deadlines:
    """What the last look at a connection found, since when, and when how many bytes had moved."""

    __slots__ = ("_bounds", "_looked_at", "_moved", "_moved_at", "_phase", "_request", "_since")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._phase: Phase | None = None
        self._request: Any = None
        self._since = self._looked_at = self._moved_at = 0.0
        self._moved: int = 0

    def stands(self, now: float, phase: Phase, request: Any, body_arrived: int, *, paused: bool) -> bool:
        """Look at a connection. Whether it stands where it stood at the last look, and not because we do not read it."""
        paused_s, self._looked_at = now - self._looked_at, now
        if phase is not self._phase or request is not self._request:
            self._phase, self._request = phase, request
            self._since = self._moved_at = now
            self._moved = body_arrived
            return False
        if paused and phase in {Phase.HEAD, Phase.BODY}:
            self._since += paused_s
            self._moved_at += paused_s
            return False
        return True

    def is_over(self, now: float) -> bool:
        """Whether a head, a pause between requests, or what is dropped takes too long."""
        bounds, took_s = self._bounds, now - self._since
        match self._phase:
            case Phase.HEAD:
                return took_s >= bounds.head_within_s
            case Phase.IDLE:
                return took_s >= bounds.idle_s
            case Phase.DROPPING:
                return took_s >= bounds.past_within_s
            case _:
                return False

    def is_body_over(self, now: float, arrived: int, *, within_s: float) -> bool:
        """Whether a body takes too long, or comes too slowly."""
        return now - self._since >= within_s or self._is_too_slow(now, arrived)

    def _is_too_slow(self, now: float, arrived: int) -> bool:
        bounds = self._bounds
        if now - self._moved_at < bounds.stall_s:
            return False
        came, self._moved = arrived - self._moved, arrived
        seconds, self._moved_at = now - self._moved_at, now
        return came < bounds.body_bytes_per_s_min * seconds

    def is_answer_over(self, now: float, unsent: int) -> bool:
        """Whether an answer is not taken: as many bytes of it have been ``unsent`` for too long."""
        if not unsent or unsent != self._moved:
            self._moved, self._moved_at = unsent, now
            return False
        return now - self._moved_at >= self._bounds.answer_stall_s
