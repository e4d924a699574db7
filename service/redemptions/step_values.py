"""What each step of a redemption is worth in money: the only place that divides a redemption's value.

What the captured points pay is rounded down, and so is what the points still kept pay after a refund. A later capture does not
change what a refund gave back, so the steps are replayed in order.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger import Redemption, RedemptionOperation


class Replay:
    """The steps of a redemption, told in order. ``value`` is that of all ``authorized`` points."""

    __slots__ = ("_authorized", "_captured", "_captured_value", "_refunded", "_refunded_value", "_value")

    def __init__(self, value: int | None, authorized: int) -> None:
        self._value = value
        self._authorized = authorized
        self._captured = self._refunded = self._captured_value = self._refunded_value = 0

    def step(self, verb: str, points: int) -> int | None:
        """What the next step authorized, paid or gave back, in minor units; ``None`` where points have no value."""
        if self._value is None:
            return None
        if verb == "authorize":
            return self._value
        if verb == "capture":
            return self._capture(self._value, points)
        return self._refund(self._value, points) if verb == "refund" else 0

    def _capture(self, value: int, points: int) -> int:
        self._captured += points
        worth = value * self._captured // self._authorized - self._captured_value
        self._captured_value += worth
        return worth

    def _refund(self, value: int, points: int) -> int:
        self._refunded += points
        kept = value * (self._captured - self._refunded) // self._authorized
        worth = max(0, self._captured_value - kept - self._refunded_value)
        self._refunded_value += worth
        return worth


def step_values(redemption: Redemption) -> Iterator[tuple[RedemptionOperation, int | None]]:
    """Each step with what it is worth."""
    replay = Replay(redemption.value, redemption.authorized)
    for step in redemption.operations:
        yield step, replay.step(step.verb, step.points)
