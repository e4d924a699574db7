"""What each step of a redemption is worth in money: the only place that divides a redemption's value.

What the captured points pay is rounded down, and so is what the points still kept pay after a refund. A later capture does not
change what a refund gave back, so the steps are replayed in order.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger import Redemption, RedemptionOperation


def step_values(redemption: Redemption) -> Iterator[tuple[RedemptionOperation, int | None]]:
    """Each step with what it authorized, paid or gave back, in minor units; ``None`` where points had no value."""
    captured = refunded = captured_value = refunded_value = 0
    for step in redemption.operations:
        worth: int | None = 0
        if redemption.value is None:
            worth = None
        elif step.verb == "authorize":
            worth = redemption.value
        elif step.verb == "capture":
            captured += step.points
            worth = redemption.value * captured // redemption.authorized - captured_value
            captured_value += worth
        elif step.verb == "refund":
            refunded += step.points
            kept = redemption.value * (captured - refunded) // redemption.authorized
            worth = max(0, captured_value - kept - refunded_value)
            refunded_value += worth
        yield step, worth
