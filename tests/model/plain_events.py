"""What the plain ledger knows of one event, and what it says of one report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec

from ledger import Grade, GrantOrder, GrantOutcome, ReturnOutcome

NEVER_YET = datetime.max.replace(tzinfo=UTC)


class Told(NamedTuple):
    """The answer to one report. ``key`` is the one the event is recorded under."""

    outcome: GrantOutcome
    points: int
    replayed: bool
    key: bytes


class Returned(NamedTuple):
    """The answer to a return: see ``ReturnResult``."""

    outcome: ReturnOutcome
    replayed: bool = False
    returned: int = 0
    points: int = 0
    clawed_back: int = 0
    shortfall: int = 0
    outstanding: int = 0
    withheld_points: int = 0
    withheld_minor: int = 0
    customer: int = 0
    balance: int = 0


@dataclass(frozen=True)
class Event:
    """What was decided on the report that counts. ``customer`` is whom it was decided for, though she was merged since."""

    order: GrantOrder
    customer: int
    outcome: GrantOutcome
    decided: int = 0
    """Which of all decisions it was."""
    at: datetime = NEVER_YET
    """When that was."""

    @property
    def paid(self) -> bool:
        """Whether it has points, be they held back."""
        return self.outcome in (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)

    @property
    def held_back(self) -> bool:
        """Whether somebody has to approve of it, or had to until now."""
        return self.outcome is GrantOutcome.HELD_BACK

    @property
    def refused(self) -> bool:
        """Whether it can be decided again."""
        return self.outcome in (GrantOutcome.CAP_REACHED, GrantOutcome.GROUP_CAP_REACHED, GrantOutcome.BUDGET_EXHAUSTED)

    @property
    def waits(self) -> bool:
        """Whether better evidence pays it."""
        return self.outcome is GrantOutcome.WAITING

    @property
    def rank(self) -> int:
        """What counts before what, where a person has the same event under two ids."""
        return 2 if self.paid else 0 if self.waits else 1

    @property
    def points(self) -> int:
        """What it has."""
        return self.order.terms.points if self.paid else 0

    @property
    def due_at(self) -> datetime:
        """Until when it is held back."""
        assert self.order.due_at is not None
        return self.order.due_at

    def now_of(self, customer: int, now: datetime, expires_on: date | None) -> GrantOrder:
        """What it asks for, now that the customer is known to be this one: to last, or to be held back, from now on."""
        due_at = self.order.due_at and now + (self.order.due_at - self.at)
        return msgspec.structs.replace(self.order, customer=customer, due_at=due_at).on(waits=False, expires_on=expires_on)


def is_strong(order: GrantOrder) -> bool:
    """Whether only a person can have done this."""
    return order.terms.grade in (Grade.A, Grade.B)


def heard(orders: Iterable[GrantOrder]) -> list[tuple[GrantOrder, int, bool]]:
    """A batch: each order, which generation all in the batch know the customer to be of, and whether its key is new in it.

    Who is behind holds up everybody: they all are told to look her up again.
    """
    orders = list(orders)
    keys = [order.key for order in orders]
    return [
        (
            order,
            order.generation
            if all(each.generation == order.generation for each in orders if each.customer == order.customer)
            else -1,
            order.key not in keys[:n],
        )
        for n, order in enumerate(orders)
    ]
