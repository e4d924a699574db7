"""A small ledger that is obviously right: one thing at a time, in dictionaries, with time passing for everybody at once.

What is due (timed-out holds, dead lots) happens at the instant it is due: `settle` runs after every change. The real ledger
posts it later, when somebody touches the wallet or the sweeper comes, and must be found to agree nevertheless, also on the day
on which it counts. Points that are held back past their time are nobody's from then on, and so are those that are taken back
of a hold that times out; but until somebody touches the wallet, budgets and caps count them.

Points are followed from their grants: each has a number, in the order in which they were paid.

Nothing is counted ahead: what a cap has used up, what is held and what is held back is added up from the events and holds each
time it is asked for. Nothing is moved that need not be: events and holds stay with the customer they began with, and a merge
only says whose they are now.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from ledger import FundOutcome, GrantOutcome, Lot, MergeOutcome, SplitOutcome, Verb, month_end
from tests.model.plain_events import Event, Returned
from tests.model.plain_holds import GRACE, NEVER, Budget, Hold, LotKey, Lots, lot_of, move, no_lots
from tests.model.plain_holds import Lot as PlainLot

IDS_MAX = 8


def last_day(expires_on: date, earned_on: date, paid_on: date) -> date:
    """The last day of points that were to expire so when earned then, and are paid later: never past, and as long as ever."""
    months = 12 * (paid_on.year - earned_on.year) + paid_on.month - earned_on.month
    if expires_on >= paid_on and not months:
        return expires_on
    return max(month_end(expires_on, months), month_end(paid_on, 0))


class PlainBook:
    """What there is, whose it is, and what time does to it."""

    def __init__(self, now: datetime, zone: ZoneInfo, issue_limit: int) -> None:
        self.now = now
        self.zone = zone
        self.issue_limit = issue_limit
        self.issued = 0
        self.budgets: defaultdict[tuple[int, bool], int] = defaultdict(int)
        self.funded: set[int] = set()
        self.events: dict[bytes, Event] = {}
        self.proofs: dict[bytes, str] = {}
        self.wallets: defaultdict[int, Lots] = defaultdict(no_lots)
        self.holds: dict[int, Hold] = {}
        self.survivors: dict[int, int] = {}
        self.merged: dict[int, int] = {}
        self.parted: dict[int, tuple[int, int]] = {}
        self.generations: defaultdict[int, int] = defaultdict(int)
        self.brought: dict[int, Counter[PlainLot]] = {}
        self.layers: dict[bytes, int] = {}
        self.paid: dict[int, tuple[int, Budget]] = {}
        self.short: Counter[tuple[int, int]] = Counter()
        self.returned: Counter[bytes] = Counter()
        self.withheld: Counter[bytes] = Counter()
        self.returns: dict[tuple[bytes, str], tuple[bytes, Returned]] = {}
        self.fell_due: defaultdict[tuple[Verb, date], int] = defaultdict(int)
        self.owed: dict[date, int] = {}
        self.decisions = 0
        self.groupings: list[tuple[int, dict[int, int]]] = [(-1, {})]

    def copy(self) -> Self:
        """Another of the same contents. Events are never changed, only replaced."""
        other = copy.copy(self)
        other.budgets, other.events, other.proofs = self.budgets.copy(), self.events.copy(), self.proofs.copy()
        other.funded, other.fell_due, other.owed = self.funded.copy(), self.fell_due.copy(), self.owed.copy()
        other.survivors, other.merged = self.survivors.copy(), self.merged.copy()
        other.parted, other.generations, other.groupings = self.parted.copy(), self.generations.copy(), self.groupings.copy()
        other.brought = copy.deepcopy(self.brought)
        other.layers, other.paid, other.short = self.layers.copy(), self.paid.copy(), self.short.copy()
        other.returned, other.withheld, other.returns = self.returned.copy(), self.withheld.copy(), self.returns.copy()
        other.wallets, other.holds = copy.deepcopy(self.wallets), copy.deepcopy(self.holds)
        return other

    @property
    def today(self) -> date:
        """The day in the book's zone."""
        return self.day(self.now)

    def day(self, at: datetime) -> date:
        """The day of a time in the book's zone."""
        return at.astimezone(self.zone).date()

    @property
    def next_midnight(self) -> datetime:
        """When the next day begins where the book is kept."""
        return datetime.combine(self.today + timedelta(days=1), time(), self.zone).astimezone(UTC)

    def pass_time(self, until: datetime) -> None:
        """Let time go by, and write down what is owed to all customers at the end of each day."""
        while self.next_midnight <= until:
            self.now = self.next_midnight
            self.settle()
            held = sum(sum(hold.held.values()) for hold in self.holds.values())
            held_back = sum(each.points for each in self.events.values() if each.held_back and each.due_at >= self.now)
            # What is taken back of a hold that times out at midnight counts on the new day.
            taken_back = self.fell_due[Verb.CLAWBACK, self.today]
            owed = held + held_back + taken_back + sum(map(self.spendable, self.wallets))
            self.owed[self.today - timedelta(days=1)] = owed
        self.now = until
        self.settle()

    def settle(self) -> None:
        """Let happen what is due: holds time out as of their deadline, the first of them first, then lots die."""
        for _, hold in sorted(self.holds.items(), key=lambda each: (each[1].deadline, each[0])):
            if not hold.closed and hold.deadline <= self.now:
                hold.timed_out = True
                self.fell_due[Verb.TIME_OUT, self.day(hold.deadline)] += sum(hold.held.values())
                hold.taken_back = self._release(hold, self.day(hold.deadline))
                self.fell_due[Verb.CLAWBACK, self.day(hold.deadline)] += sum(points for _, points in hold.taken_back)
        for wallet in self.wallets.values():
            for key in list(wallet):
                if key[0] < self.today:
                    self.fell_due[Verb.EXPIRE, key[0]] += wallet.pop(key)

    def _touch(self, customer: int) -> None:
        """Whoever takes something from a wallet, or looks, finds that what was held back until now is not there any more, and
        what was taken back of holds that timed out.
        """
        for hold in self.holds.values():
            if hold.timed_out and self.survivor(hold.customer) == customer:
                self._notice(hold)
        for key, event in self.events.items():
            if event.held_back and event.due_at <= self.now and self.survivor(event.customer) == customer:
                self._end_holding_back(key, GrantOutcome.REJECTED, None)

    def _end_holding_back(self, key: bytes, outcome: GrantOutcome, expires_on: date | None) -> None:
        event = self.events[key]
        self.events[key] = replace(event, outcome=outcome)
        if outcome is GrantOutcome.GRANTED:
            self._credit(key, event, expires_on)
            return
        self.budgets[event.order.terms.campaign_no, event.order.terms.unlimited] += event.points
        if event.due_at <= self.now:
            self.fell_due[Verb.REJECT, self.day(event.due_at)] += event.points

    def _notice(self, hold: Hold) -> None:
        hold.noticed = True
        self._fill_budgets(hold.taken_back)
        hold.taken_back = []

    def _fill_budgets(self, taken: Iterable[tuple[Budget, int]]) -> None:
        for budget, points in taken:
            self.budgets[budget] += points

    def _credit(self, key: bytes, event: Event, expires_on: date | None) -> None:
        terms = event.order.terms
        budget = terms.campaign_no, terms.unlimited
        self.layers[key] = self.pay(
            self.survivor(event.customer), event.points, budget, (expires_on or NEVER, terms.account_class)
        )

    def pay(self, customer: int, points: int, budget: Budget, lot: PlainLot) -> int:
        """Put points that a budget has paid into a lot. Returns their number."""
        layer = len(self.paid) + 1
        self.paid[layer] = customer, budget
        self.wallets[customer][*lot, layer] += points
        return layer

    def _give_back(self, hold: Hold, key: LotKey, points: int, day: date) -> tuple[Budget, int]:
        """Return points to a wallet, but for those that were to be taken back of that grant. Returns these."""
        (last_day, account_class, layer), customer = key, self.survivor(hold.customer)
        taken = min(points, self.short[customer, layer])
        self.short[customer, layer] -= taken
        self.wallets[customer][last_day if last_day >= day else day + GRACE, account_class, layer] += points - taken
        return self.paid[layer][1], taken

    def _release(self, hold: Hold, day: date) -> list[tuple[Budget, int]]:
        hold.closed = True
        return [self._give_back(hold, lot, points, day) for lot, points in move(hold.held, sum(hold.held.values()))]

    # ---- What a customer has

    def survivor(self, customer: int) -> int:
        """Who has her points now."""
        return self.survivors.get(customer, customer)

    def group(self, customer: int) -> list[int]:
        """Herself, and those who were merged into her."""
        return [customer, *(each for each, survivor in self.survivors.items() if survivor == customer)]

    def lots(self, customer: int) -> tuple[Lot, ...]:
        """Her lots, soonest to expire first."""
        return tuple(
            Lot(account_class, None if last_day == NEVER else last_day, points)
            for (last_day, account_class), points in sorted(self._by_lot(customer).items())
            if points
        )

    def _by_lot(self, customer: int) -> Counter[PlainLot]:
        lots: Counter[PlainLot] = Counter()
        for key, points in self.wallets[customer].items():
            lots[lot_of(key)] += points
        return lots

    def spendable(self, customer: int) -> int:
        """The sum of her lots."""
        return sum(self.wallets[customer].values())

    def held(self, customer: int) -> int:
        """What is set aside of hers."""
        return sum(sum(hold.held.values()) for hold in self.holds.values() if self.survivor(hold.customer) == customer)

    def pending(self, customer: int) -> int:
        """What is held back from her."""
        back = (event for event in self.events.values() if event.held_back and event.due_at > self.now)
        return sum(event.points for event in back if self.survivor(event.customer) == customer)

    # ---- Funding and merging

    def fund(self, campaign_no: int, points: int) -> tuple[FundOutcome, int, int]:
        """Give a campaign points."""
        outcome = FundOutcome.ISSUE_LIMIT_REACHED
        if self.issued + points <= self.issue_limit:
            outcome = FundOutcome.FUNDED
            self.issued += points
            self.budgets[campaign_no, False] += points
            self.funded.add(campaign_no)
        return outcome, self.budgets[campaign_no, False], self.issued

    def merge(self, loser: int, survivor: int) -> tuple[MergeOutcome, bool, int]:
        """Give the survivor all that the loser has."""
        if self.survivors.get(loser) == survivor:
            return MergeOutcome.MERGED, True, self.merged[loser]
        if loser in self.survivors or survivor in self.survivors:
            return MergeOutcome.STALE_CUSTOMER, False, 0
        if len(self.group(loser)) + len(self.group(survivor)) > IDS_MAX:
            return MergeOutcome.TOO_MANY, False, 0
        self._touch(loser)
        self._touch(survivor)
        self.merged[loser] = self.spendable(loser)
        group = self.group(loser)
        self.generations[survivor] += len(group)
        self.brought[loser] = self._by_lot(loser)
        for key, points in self.wallets.pop(loser, no_lots()).items():
            self.wallets[survivor][key] += points
        for member in sorted({*group} - {loser}):
            for lot in self.brought[member]:
                self.brought[member][lot] = min(self.brought[member][lot], self.brought[loser][lot])
                self.brought[loser][lot] -= self.brought[member][lot]
        for layer in self.paid:
            self.short[survivor, layer] += self.short.pop((loser, layer), 0)
        for each in group:
            self.survivors[each] = survivor
        self.groupings.append((self.decisions, self.survivors.copy()))
        return MergeOutcome.MERGED, False, self.merged[loser]

    def split(self, customer: int, survivor: int) -> tuple[SplitOutcome, bool, int]:
        """Give a customer back what she brought, as far as it is there; what began with her is hers by itself."""
        if self.survivors.get(customer) != survivor:
            was_part_of, points = self.parted.get(customer, (None, 0))
            if customer in self.survivors or was_part_of != survivor:
                return SplitOutcome.NOT_PART, False, 0
            return SplitOutcome.SPLIT, True, points
        self._touch(survivor)
        total = 0
        there = self._by_lot(survivor)
        for lot, points in self.brought.pop(customer, Counter[PlainLot]()).items():
            total += self._return(customer, survivor, lot, min(points, there[lot]))
        for layer in self.paid:
            short = min(self.short[survivor, layer], self._in_holds_of(customer, layer))
            self.short[survivor, layer] -= short
            self.short[customer, layer] += short
        del self.survivors[customer]
        self.parted[customer] = (survivor, total)
        for each in (customer, survivor):
            self.generations[each] += 1
        self.groupings.append((self.decisions, self.survivors.copy()))
        return SplitOutcome.SPLIT, False, total

    def _return(self, customer: int, survivor: int, lot: PlainLot, points: int) -> int:
        """Of a lot, what was granted to the customer, the newest first, then the newest of the rest."""
        keys = [key for key in self.wallets[survivor] if lot_of(key) == lot]
        rest = points
        for key in sorted(keys, key=lambda key: (self.paid[key[2]][0] != customer, -key[2])):
            part = min(rest, self.wallets[survivor][key])
            self.wallets[survivor][key] -= part
            self.wallets[customer][key] += part
            rest -= part
        return points

    def _in_holds_of(self, customer: int, layer: int) -> int:
        """What the redemptions that began with a customer hold, and have spent, of one grant."""
        holds = [hold for hold in self.holds.values() if hold.customer == customer]
        return sum(
            points for hold in holds for lots in (hold.held, hold.spent) for key, points in lots.items() if key[2] == layer
        )

    def were_one(self, customer: int, other: int, decision: int) -> bool:
        """Whether, at one of the decisions, she or one who is part of her now was one with another."""
        survivors = next(survivors for before, survivors in reversed(self.groupings) if before < decision)
        then = {survivors.get(each, each) for each in self.group(customer)}
        return survivors.get(other, other) in then

    def past(self, customer: int) -> list[int]:
        """Who was one with her once, or with one who is part of her, and is not now."""
        now, found = self.group(customer), set[int]()
        for _, survivors in self.groupings:
            then = {survivors.get(each, each) for each in now}
            found |= then | {each for each, survivor in survivors.items() if survivor in then}
        return sorted(found - {*now})
