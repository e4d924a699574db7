"""A small ledger that is obviously right: one thing at a time, in dictionaries, with time passing for everybody at once.

What is due (timed-out holds, dead lots) happens at the instant it is due: `settle` runs after every change. The real ledger
posts it later, when somebody touches the wallet or the sweeper comes, and must be found to agree nevertheless. Only points that
are held back past their time stay so until somebody notices.

Nothing is counted ahead: what a cap has used up, what is held and what is held back is added up from the events and holds each
time it is asked for. Nothing is moved that need not be: events and holds stay with the customer they began with, and a merge
only says whose they are now.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from datetime import date, datetime
from typing import Self
from zoneinfo import ZoneInfo

from ledger import FundOutcome, GrantOutcome, Lot, MergeOutcome, SplitOutcome
from tests.model.plain_events import Event
from tests.model.plain_holds import GRACE, NEVER, Hold, LotKey, Lots, move, no_lots

IDS_MAX = 8


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
        self.brought: defaultdict[int, Lots] = defaultdict(no_lots)
        self.decisions = 0
        self.groupings: list[tuple[int, dict[int, int]]] = [(-1, {})]

    def copy(self) -> Self:
        """Another of the same contents. Events are never changed, only replaced."""
        other = copy.copy(self)
        other.budgets, other.events, other.proofs = self.budgets.copy(), self.events.copy(), self.proofs.copy()
        other.funded = self.funded.copy()
        other.survivors, other.merged = self.survivors.copy(), self.merged.copy()
        other.parted, other.generations, other.groupings = self.parted.copy(), self.generations.copy(), self.groupings.copy()
        other.brought = copy.deepcopy(self.brought)
        other.wallets, other.holds = copy.deepcopy(self.wallets), copy.deepcopy(self.holds)
        return other

    @property
    def today(self) -> date:
        """The day in the book's zone."""
        return self.day(self.now)

    def day(self, at: datetime) -> date:
        """The day of a time in the book's zone."""
        return at.astimezone(self.zone).date()

    def settle(self) -> None:
        """Let happen what is due: holds time out as of their deadline, then lots die."""
        for hold in self.holds.values():
            if not hold.closed and hold.deadline <= self.now:
                hold.timed_out = True
                self._release(hold, self.day(hold.deadline))
        for wallet in self.wallets.values():
            for last_day, account_class in list(wallet):
                if last_day < self.today:
                    del wallet[last_day, account_class]

    def _give_back(self, hold: Hold, lot: LotKey, points: int, day: date) -> None:
        last_day, account_class = lot
        self.wallets[self.survivor(hold.customer)][last_day if last_day >= day else day + GRACE, account_class] += points

    def _release(self, hold: Hold, day: date) -> None:
        for lot, points in move(hold.held, sum(hold.held.values())):
            self._give_back(hold, lot, points, day)
        hold.closed = True

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
            for (last_day, account_class), points in sorted(self.wallets[customer].items())
            if points
        )

    def spendable(self, customer: int) -> int:
        """The sum of her lots."""
        return sum(self.wallets[customer].values())

    def held(self, customer: int) -> int:
        """What is set aside of hers."""
        return sum(sum(hold.held.values()) for hold in self.holds.values() if self.survivor(hold.customer) == customer)

    def pending(self, customer: int) -> int:
        """What is held back from her."""
        back = (event for event in self.events.values() if event.outcome is GrantOutcome.HELD_BACK)
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
        self.merged[loser] = self.spendable(loser)
        group = self.group(loser)
        self.generations[survivor] += len(group)
        self.brought[loser] = no_lots()
        for lot, points in self.wallets.pop(loser, no_lots()).items():
            self.wallets[survivor][lot] += points
            self.brought[loser][lot] = points
        for member in sorted({*group} - {loser}):
            for lot in self.brought[member]:
                self.brought[member][lot] = min(self.brought[member][lot], self.brought[loser][lot])
                self.brought[loser][lot] -= self.brought[member][lot]
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
        total = 0
        for lot, points in self.brought.pop(customer, no_lots()).items():
            back = min(points, self.wallets[survivor][lot])
            self.wallets[survivor][lot] -= back
            self.wallets[customer][lot] += back
            total += back
        del self.survivors[customer]
        self.parted[customer] = (survivor, total)
        for each in (customer, survivor):
            self.generations[each] += 1
        self.groupings.append((self.decisions, self.survivors.copy()))
        return SplitOutcome.SPLIT, False, total

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
