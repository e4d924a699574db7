"""A book in which everything that falls due happens at that very instant: so it is what a book is as of any instant."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEVER = date.max
GRACE = timedelta(days=30)
TICK = timedelta(microseconds=1)

Lots = Counter[date]
"""Points by last day."""


@dataclass
class PlainHold:
    """Points set aside, until a deadline."""

    customer: int
    began_as: int
    deadline: datetime
    held: Lots


@dataclass
class Promise:
    """Points held back, until somebody approves or a deadline."""

    customer: int
    began_as: int
    due_at: datetime
    points: int


@dataclass
class PlainDays:
    """One book. ``advance`` first, then do what happens at that instant."""

    zone: ZoneInfo
    now: datetime
    lots: defaultdict[int, Lots] = field(default_factory=lambda: defaultdict(Counter))
    holds: dict[int, PlainHold] = field(default_factory=dict[int, PlainHold])
    promises: dict[str, Promise] = field(default_factory=dict[str, Promise])
    brought: dict[int, tuple[int, Lots]] = field(default_factory=dict[int, "tuple[int, Lots]"])
    granted: int = 0
    spent: int = 0
    breakage: int = 0

    def day(self, at: datetime) -> date:
        """The day there."""
        return at.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """The first instant after a day there."""
        noon = datetime.combine(day, time(12), self.zone).astimezone(UTC)
        low, high = noon, noon + timedelta(days=1)
        while high - low > TICK:
            middle = low + (high - low) // 2
            low, high = (middle, high) if self.day(middle) <= day else (low, middle)
        return high

    def advance(self, to: datetime) -> None:
        """Let time pass up to and including an instant."""
        while (due := self._next()) is not None and due[0] <= to:
            self._fall_due(*due)
        self.now = to

    def _next(self) -> tuple[datetime, str, int | str] | None:
        dues: list[tuple[datetime, str, int | str]] = [
            *((hold.deadline, "hold", number) for number, hold in self.holds.items()),
            *((promise.due_at, "promise", name) for name, promise in self.promises.items()),
            *(
                (self.midnight(last_day), "lot", customer)
                for customer, lots in self.lots.items()
                for last_day, points in lots.items()
                if points and last_day != NEVER
            ),
        ]
        return min(dues, key=lambda due: (due[0], due[1]), default=None)

    def _fall_due(self, at: datetime, what: str, which: int | str) -> None:
        if what == "promise":
            self.granted -= self.promises.pop(str(which)).points
        elif what == "hold":
            self._release(self.holds.pop(int(which)), self.day(at))
        else:
            self.expire(self.day(at), int(which))

    def expire(self, before: date, customer: int) -> None:
        """Expire a customer's lots with a last day before a day."""
        for last_day in [last_day for last_day in self.lots[customer] if last_day < before]:
            self.breakage += self.lots[customer].pop(last_day)

    def _release(self, hold: PlainHold, day: date) -> None:
        for last_day, points in hold.held.items():
            self.lots[hold.customer][last_day if last_day >= day else day + GRACE] += points

    def authorize(self, number: int, customer: int, points: int, deadline: datetime) -> None:
        """Set points aside, soonest to expire first."""
        self.holds[number] = PlainHold(customer, customer, deadline, take(self.lots[customer], points))

    def capture(self, number: int, points: int, *, final: bool) -> None:
        """Spend what is held."""
        hold = self.holds[number]
        self.spent += take(hold.held, points).total()
        if final:
            self.void(number)
        elif not hold.held.total():
            del self.holds[number]

    def void(self, number: int) -> None:
        """Release what is held."""
        self._release(self.holds.pop(number), self.day(self.now))

    def merge(self, loser: int, survivor: int) -> None:
        """Give everything to the survivor."""
        self.brought[loser] = survivor, Counter(self.lots[loser])
        self.lots[survivor].update(self.lots.pop(loser, Counter()))
        for owned in (*self.holds.values(), *self.promises.values()):
            if owned.customer == loser:
                owned.customer = survivor

    def split(self, customer: int) -> None:
        """Give back what the customer brought, as far as it is there."""
        survivor, brought = self.brought.pop(customer)
        for last_day, points in brought.items():
            back = min(points, self.lots[survivor][last_day])
            self.lots[survivor][last_day] -= back
            self.lots[customer][last_day] += back
        for owned in (*self.holds.values(), *self.promises.values()):
            if owned.began_as == customer:
                owned.customer = customer

    def picture(self) -> dict[tuple[str, object], int]:
        """Every balance that is not zero."""
        found: Counter[tuple[str, object]] = Counter()
        for customer, lots in self.lots.items():
            found.update({("lot", (customer, last_day)): points for last_day, points in lots.items()})
        for number, hold in self.holds.items():
            found["held", number] += hold.held.total()
        for promise in self.promises.values():
            found["pending", promise.customer] += promise.points
        found.update({("breakage", 0): self.breakage, ("spent", 0): self.spent, ("budget", 0): -self.granted})
        return {what: points for what, points in found.items() if points}


def take(source: Lots, points: int) -> Lots:
    """Take points out of lots, soonest to expire first."""
    taken: Lots = Counter()
    for last_day in sorted(source):
        part = min(points - taken.total(), source[last_day])
        taken[last_day] += part
        source[last_day] -= part
    assert taken.total() == points
    return +taken
