"""What a caller asked for, and what a report reads of the books to answer: everything as of one instant, ``now``.

What fell due by then counts, whether or not it is posted: expiries that are still to be posted are movements of no transfer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ledger import (
    AccountClass,
    AsOf,
    Close,
    CloseState,
    Cut,
    DailyMovements,
    DueClawBack,
    Kind,
    Movement,
    MovementsBy,
    TrialBalance,
    Verb,
    describe_account,
)
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.estimates.queries import Estimates, list_estimates
from service.exports.account_names import class_name
from service.http.periods import ONE_DAY, Period
from service.reports.report import Column, Report
from service.reports.values import Values, values_of

if TYPE_CHECKING:
    from service.services import Services

_MICROSECOND = timedelta(microseconds=1)
_HOUSE_ACCOUNTS = 100
_NEXT_MIDNIGHT = "SELECT ($1::date + 1)::timestamp AT TIME ZONE $2"


class Asked(msgspec.Struct, frozen=True):
    """A report on ``brand``'s books, which begin on ``first``, up to ``now``, on the days of ``period``, broken down ``by``.

    ``after`` and ``until`` are the cuts that it begins and ends with, if any: then their place in the log counts, not the days.
    It has the restatements up to number ``restated``, which are those of ``version`` of the close that ends it, if one does.
    """

    services: Services
    brand: Brand
    now: AsOf
    first: date
    period: Period
    by: Sequence[str]
    after: Cut | None = None
    until: Cut | None = None
    restated: int = 0
    version: int | None = None

    @property
    def seq(self) -> int:
        """The last transfer that is read."""
        return self.now.cut.seq if self.until is None else self.until.seq

    async def added_up(self, by: MovementsBy, *, by_day: bool) -> tuple[DailyMovements, Asked]:
        """What is added up by day, days of the period that are of one month and worth the same as one; or ``by_day``, since the
        book began. And the same asked of a ``now`` that is not before that.
        """
        end = self.period.end + ONE_DAY
        days = [self.first + ONE_DAY * n for n in range((end - self.first).days + 1)]
        starts = days if by_day else (await self.values()).stretches(self.period)
        found = await self.services.ledger.daily_movements(self.brand.book, starts=starts, by=by)
        if found.seq <= self.now.cut.seq:
            return found, self
        return found, msgspec.structs.replace(self, now=await as_of_now(self.services, self.brand))

    async def trial_balance(self) -> TrialBalance:
        """What the accounts have now, or at the cut."""
        return await self.services.ledger.trial_balance(self.brand.book, self.until or self.now)

    async def due(self) -> list[Movement]:
        """Expiries, and claw-backs of what holds give back, that are due now and not posted. Up to a cut only what was posted
        counts.
        """
        if self.until is not None:
            return []
        ledger, book = self.services.ledger, self.brand.book
        settled = await self.trial_balance()
        clawed_back = await ledger.due_claw_backs(book, self.now)
        due = [_due_claw_back(each) for each in clawed_back]
        # The house's accounts come first.
        house = await ledger.account_balances(book, self.now.cut, limit=_HOUSE_ACCOUNTS)
        posted = sum(credits_ - debits for account, debits, credits_ in house if is_breakage(account))
        if posted == sum(line.balance for line in settled.lines if line.kind == "breakage"):
            return due
        before = await ledger.trial_balance(book, self.now.cut)
        return [*due, *_unposted(before, settled, self.now.day, clawed_back)]

    async def opened(self) -> Close | None:
        """The last close before the period, if there is one: what moved up to then need not be read."""
        found = await self.services.ledger.closes(self.brand.book, until=self.period.day_before, limit=1)
        return found[0] if found and found[0].totals is not None else None

    async def closed(self) -> Close | None:
        """The close of the period's last day, if there is one and all that it reckoned is posted."""
        if self.until is not None:
            return None
        found = await self.services.ledger.close(self.brand.book, self.period.end)
        return found if found is not None and found.state is CloseState.SETTLED else None

    async def log_of_period(self) -> tuple[int, int]:
        """The part of the log, ``after < seq <= until``, in which all transfers of the period are."""
        closed = await self.closed()
        until = self.seq if closed is None or closed.settled_seq is None else closed.settled_seq
        if self.after is not None:
            return self.after.seq, until
        begun = await self.services.ledger.as_of(
            self.brand.book, await self._midnight_after(self.period.day_before) - _MICROSECOND
        )
        return (begun.cut.seq if isinstance(begun, AsOf) else 0), until

    async def posted(self) -> tuple[int, int]:
        """The part of the log, ``after < seq <= until``, that was posted in the period."""
        ledger, book, period = self.services.ledger, self.brand.book, self.period
        before = self.after or await ledger.cut_before_day(book, period.begin)
        return before.seq, min(self.seq, (await ledger.cut_before_day(book, period.end + ONE_DAY)).seq)

    async def instants(self) -> tuple[datetime, datetime]:
        """When the period begins, and when it is over."""
        begin = await self._midnight_after(self.period.day_before) if self.after is None else self.after.posted_at
        end = await self._midnight_after(self.period.end) if self.until is None else self.until.posted_at
        return begin, end

    async def _midnight_after(self, day: date) -> datetime:
        return await self.services.pool.fetchval(_NEXT_MIDNIGHT, day, self.brand.time_zone)

    async def estimates(self) -> Estimates:
        """What the brand estimates by the end of the period: later ones say nothing of it."""
        known = await list_estimates(self.services.engine, self.brand.brand_id, restated=self.restated)
        return Estimates([each for each in known if each.effective_on <= self.period.end])

    async def values(self) -> Values:
        """What points were worth by the end of the period."""
        return await values_of(self.services.engine, self.brand, self.restated, until=self.period.end)

    async def campaigns(self) -> dict[int, str]:
        """The campaigns' ids by number."""
        return dict(await campaign_ids(self.services.engine, self.brand.brand_id))

    def dated(self, movement: Movement) -> Movement:
        """A movement on the day on which it counts: what fell due before the cut that the report begins with, on the cut's."""
        if self.after is None or movement.day >= self.period.begin:
            return movement
        return msgspec.structs.replace(movement, day=self.period.begin)

    async def end(self) -> AsOf | Cut:
        """The books when the period ends."""
        return self.until or await self.end_of(self.period.end)

    async def end_of(self, day: date) -> AsOf:
        """The books at the end of a day that is not before them, with what expires with it; or now if it is not over."""
        midnight = await self._midnight_after(day)
        if self.now.at < midnight:
            return self.now
        found = await self.services.ledger.as_of(self.brand.book, midnight - _MICROSECOND)
        assert isinstance(found, AsOf)
        return msgspec.structs.replace(found, day=day + ONE_DAY)

    def report(
        self, name: str, columns: Sequence[Column], *, since: date | None = None, seq: int | None = None, **parts: Any
    ) -> Report:
        """The report that answers: ``columns`` follow those it is broken down by."""
        return Report(
            report=name,
            since=since,
            until=self.period.end,
            by=self.by,
            version=self.version,
            currency=self.brand.currency,
            after=None if self.after is None else self.after.seq,
            seq=self.seq if seq is None else seq,
            columns=[*(Column(each, "text") for each in self.by), *columns],
            **parts,
        )


async def as_of_now(services: Services, brand: Brand) -> AsOf:
    """The books as of this instant, by their own clock."""
    at = (await services.ledger.lookback(brand.book, timedelta())).until
    found = await services.ledger.as_of(brand.book, at)
    return found if isinstance(found, AsOf) else AsOf(Cut("", 0, at), at, brand.calendar.day(at))


def is_breakage(account: bytes) -> bool:
    """Whether an account is one of expired points."""
    return describe_account(account).kind is Kind.BREAKAGE


def _due_claw_back(due: DueClawBack) -> Movement:
    return Movement(
        day=due.day,
        verb=Verb.CLAWBACK,
        debit=Kind.LOT,
        credit=due.budget,
        account_class=due.account_class,
        campaign_no=due.campaign_no,
        channel=None,
        action=None,
        grade=None,
        transfers=0,
        points=due.points,
        first_seq=0,
        last_seq=0,
    )


def _unposted(
    posted: TrialBalance, settled: TrialBalance, today: date, clawed_back: Sequence[DueClawBack]
) -> Iterator[Movement]:
    """Expiries that are due and not posted: what lots past their last day are debited with then and not yet, but for what is
    taken back of them.
    """
    debits = {(line.account_class, line.expires_on): line.debits for line in posted.lines if line.kind == "lot"}
    for each in clawed_back:
        lots = (class_name(each.account_class), each.expires_on)
        debits[lots] = debits.get(lots, 0) + each.points
    for line in settled.lines:
        day, due = line.expires_on, line.debits - debits.get((line.account_class, line.expires_on), 0)
        if line.kind == "lot" and day is not None and day < today and due:
            yield Movement(
                day=day,
                verb=Verb.EXPIRE,
                debit=Kind.LOT,
                credit=Kind.BREAKAGE,
                account_class=AccountClass[(line.account_class or "").upper()],
                campaign_no=None,
                channel=None,
                action=None,
                grade=None,
                transfers=0,
                points=due,
                first_seq=0,
                last_seq=0,
            )
