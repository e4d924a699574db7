"""What customers did, what it earned them, and what became of that: ever, and in a period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import date

import msgspec

from ledger import CustomerMovement, Verb
from service.http.periods import ONE_DAY
from service.reports.asked import Asked
from service.reports.values import Values

CUSTOMERS_AT_ONCE = 1_000

_CHANGES = {
    Verb.GRANT: "granted",
    Verb.MATURE: "granted",
    Verb.OPEN: "brought_in",
    Verb.CAPTURE: "redeemed",
    Verb.REFUND: "refunded",
    Verb.EXPIRE: "expired",
    Verb.FORFEIT: "forfeited",
    Verb.CLAWBACK: "clawed_back",
}
CHANGES = tuple(dict.fromkeys(_CHANGES.values()))


class Figures(msgspec.Struct):
    """One customer's. ``points`` are by what happened to them and day: one of its stretch, on which points have one value.

    ``acts`` and ``redemptions`` are those of the period, ``acted_on`` and ``redeemed_on`` the last days of all up to its end.
    Acts are those with evidence of grade A or B.
    """

    customer: int
    points: dict[str, dict[date, int]] = msgspec.field(
        default_factory=lambda: defaultdict[str, dict[date, int]](lambda: defaultdict[date, int](int))
    )
    acts: int = 0
    acted_on: date | None = None
    redemptions: set[int] = msgspec.field(default_factory=set[int])
    redeemed_on: date | None = None

    def add(self, moved: CustomerMovement, day: date, *, in_period: bool) -> None:
        """Add what some of the customer's transfers moved."""
        if (change := _CHANGES.get(moved.verb)) is not None:
            self.points[change][day] += moved.points
        if moved.acted_on is not None:
            self.acted_on = max(moved.acted_on, self.acted_on or moved.acted_on)
        if moved.verb is Verb.CAPTURE:
            self.redeemed_on = max(moved.day, self.redeemed_on or moved.day)
        if in_period:
            self.acts += moved.verified
            self.redemptions.update(moved.redemptions)

    def __bool__(self) -> bool:
        return bool(self.points) or self.acted_on is not None


class Stretches(msgspec.Struct, frozen=True):
    """Days on which points have one value, and which are all in the period or not: each known by its first day."""

    begin: date
    starts: Sequence[date]

    @classmethod
    def of(cls, asked: Asked, values: Values) -> Stretches:
        """Those up to the end of a period."""
        return cls(asked.period.begin, sorted({asked.period.begin, *values.days}))

    def day(self, stretch: int) -> date:
        """A day of a stretch."""
        return self.starts[stretch - 1] if stretch else self.starts[0] - ONE_DAY


async def all_figures(asked: Asked, until: int, stretches: Stretches, *, after: int = 0) -> AsyncIterator[list[Figures]]:
    """All customers who ever did or had anything, by number, some at a time."""
    while page := await asked.services.ledger.survivors(asked.brand.book, after=after, limit=CUSTOMERS_AT_ONCE):
        yield await figures_of(asked, until, stretches, page)
        after = page[-1][0]


async def figures_of(
    asked: Asked, until: int, stretches: Stretches, customers: Sequence[tuple[int, Sequence[int]]]
) -> list[Figures]:
    """Of these customers those who ever did or had anything by the end of the period, in order."""
    found = {customer: Figures(customer) for customer, _ in customers}
    survivor = {number: customer for customer, merged in customers for number in (customer, *merged)}
    for moved in await asked.services.ledger.customer_movements(
        asked.brand.book, list(survivor), until=until, to=asked.period.end, starts=stretches.starts
    ):
        day = stretches.day(moved.stretch)
        found[survivor[moved.customer]].add(moved, day, in_period=day >= stretches.begin)
    return [figures for figures in found.values() if figures]
