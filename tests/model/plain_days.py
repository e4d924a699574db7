"""A book in which everything that falls due happens at that very instant: so it is what a book is as of any instant."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEVER = date.max
GRACE = timedelta(days=30)
TICK = timedelta(microseconds=1)

Lots = Counter[tuple[date, int]]
"""Points by last day and grant. Grants are numbered as they are paid, so sorting is the order in which points are spent."""


@dataclass
class PlainHold:
    """Points set aside, until a deadline, and those that were spent of them."""

    customer: int
    began_as: int
    deadline: datetime
    held: Lots
    spent: Lots = field(default_factory=Counter["tuple[date, int]"])
    number: int = 0
    timed_out: int = 0
    """How many points went back at its deadline, which may still be captured."""

    def has(self, grant: int) -> int:
        """The points of one grant in it."""
        return sum(points for lots in (self.held, self.spent) for key, points in lots.items() if key[1] == grant)


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
    over: list[PlainHold] = field(default_factory=list["PlainHold"])
    brought: dict[int, tuple[int, Counter[date]]] = field(default_factory=dict[int, "tuple[int, Counter[date]]"])
    granted_to: list[int] = field(default_factory=list[int])
    short: Counter[tuple[int, int]] = field(default_factory=Counter["tuple[int, int]"])
    granted: int = 0
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
                for (last_day, _), points in lots.items()
                if points and last_day != NEVER
            ),
        ]
        return min(dues, key=lambda due: (due[0], due[1]), default=None)

    def _fall_due(self, at: datetime, what: str, which: int | str) -> None:
        if what == "promise":
            self.granted -= self.promises.pop(str(which)).points
        elif what == "hold":
            self.holds[int(which)].timed_out = self.holds[int(which)].held.total()
            self._release(int(which), self.day(at))
        else:
            self.expire(self.day(at), int(which))

    def expire(self, before: date, customer: int) -> None:
        """Expire a customer's lots with a last day before a day."""
        for key in [key for key in self.lots[customer] if key[0] < before]:
            self.breakage += self.lots[customer].pop(key)

    def _release(self, number: int, day: date) -> None:
        """Give back what is held, but for what was to be taken back."""
        hold = self.holds.pop(number)
        self.over.append(hold)
        for (last_day, grant), points in sorted(hold.held.items()):
            taken = min(points, self.short[hold.customer, grant])
            self.short[hold.customer, grant] -= taken
            self.granted -= taken
            self.lots[hold.customer][last_day if last_day >= day else day + GRACE, grant] += points - taken
        hold.held = Counter()

    def grant(self, customer: int, points: int, last_day: date) -> None:
        """Pay a customer."""
        self.granted_to.append(customer)
        self.lots[customer][last_day, len(self.granted_to)] += points

    def left(self, grant: int) -> int:
        """What of a grant was not taken back, is not to be, and has not expired."""
        there = sum(points for lots in self.lots.values() for key, points in lots.items() if key[1] == grant)
        away = sum(hold.has(grant) for hold in (*self.holds.values(), *self.over))
        return there + away - sum(points for (_, of), points in self.short.items() if of == grant)

    def claw_back(self, grant: int, points: int) -> tuple[int, int]:
        """Take back what is there of a grant; what is held or spent is short."""
        taken = 0
        for last_day, customer in sorted((key[0], each) for each, lots in self.lots.items() for key in lots if key[1] == grant):
            part = min(points - taken, self.lots[customer][last_day, grant])
            self.lots[customer][last_day, grant] -= part
            taken += part
        self.granted -= taken
        room: Counter[int] = Counter()
        for hold in (*self.holds.values(), *self.over):
            room[hold.customer] += hold.has(grant)
        short = points - taken
        for customer in sorted(room):
            part = min(short, room[customer] - self.short[customer, grant])
            self.short[customer, grant] += part
            short -= part
        assert not short
        return taken, points - taken

    def authorize(self, number: int, customer: int, points: int, deadline: datetime) -> None:
        """Set points aside, soonest to expire first."""
        self.holds[number] = PlainHold(customer, customer, deadline, take(self.lots[customer], points), number=number)

    def capture(self, number: int, points: int, *, final: bool) -> None:
        """Spend what is held."""
        hold = self.holds[number]
        hold.spent += take(hold.held, points)
        if final or not hold.held.total():
            self.void(number)

    def capture_late(self, hold: PlainHold, points: int) -> bool:
        """Spend what the customer has, for good, if it is there and nothing of what was spent before is owed."""
        owes = any(points and self.short[hold.customer, grant] for (_, grant), points in hold.spent.items())
        if owes or self.lots[hold.customer].total() < points:
            return False
        hold.spent += take(self.lots[hold.customer], points)
        hold.timed_out = 0
        return True

    def void(self, number: int) -> None:
        """Release what is held."""
        self._release(number, self.day(self.now))

    @property
    def _owned(self) -> list[PlainHold | Promise]:
        return [*self.holds.values(), *self.over, *self.promises.values()]

    def merge(self, loser: int, survivor: int) -> None:
        """Give everything to the survivor."""
        self.brought[loser] = survivor, by_day(self.lots[loser])
        self.lots[survivor].update(self.lots.pop(loser, Counter()))
        for owned in self._owned:
            if owned.customer == loser:
                owned.customer = survivor
        for grant in range(1, len(self.granted_to) + 1):
            self.short[survivor, grant] += self.short.pop((loser, grant), 0)

    def split(self, customer: int) -> None:
        """Give back what the customer brought, as far as it is there: their own grants first, the newest of these first."""
        survivor, brought = self.brought.pop(customer)
        theirs = self.lots[survivor]
        for last_day, points in brought.items():
            back = min(points, by_day(theirs)[last_day])
            keys = [key for key in theirs if key[0] == last_day]
            for key in sorted(keys, key=lambda key: (self.granted_to[key[1] - 1] != customer, -key[1])):
                part = min(back, theirs[key])
                theirs[key] -= part
                self.lots[customer][key] += part
                back -= part
        for owned in self._owned:
            if owned.began_as == customer:
                owned.customer = customer
        for grant in range(1, len(self.granted_to) + 1):
            has = sum(hold.has(grant) for hold in (*self.holds.values(), *self.over) if hold.customer == customer)
            self.short[customer, grant] = min(has, self.short[survivor, grant])
            self.short[survivor, grant] -= self.short[customer, grant]

    def picture(self) -> dict[tuple[str, object], int]:
        """Every balance that is not zero."""
        found: Counter[tuple[str, object]] = Counter()
        for customer, lots in self.lots.items():
            found.update({("lot", (customer, last_day)): points for last_day, points in by_day(lots).items()})
        for number, hold in self.holds.items():
            found["held", number] += hold.held.total()
        for promise in self.promises.values():
            found["pending", promise.customer] += promise.points
        spent = sum(hold.spent.total() for hold in (*self.holds.values(), *self.over))
        found.update({("breakage", 0): self.breakage, ("spent", 0): spent, ("budget", 0): -self.granted})
        return {what: points for what, points in found.items() if points}


def by_day(lots: Lots) -> Counter[date]:
    """Points by last day, of whatever grant."""
    found: Counter[date] = Counter()
    for (last_day, _), points in lots.items():
        found[last_day] += points
    return found


def take(source: Lots, points: int) -> Lots:
    """Take points out of lots: soonest to expire first, then what was granted first."""
    taken: Lots = Counter()
    for key in sorted(source):
        part = min(points - taken.total(), source[key])
        taken[key] += part
        source[key] -= part
    assert taken.total() == points
    return +taken
