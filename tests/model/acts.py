"""Things to do to a ledger, each to the real one and to the plain one, and how the two answers are made comparable.

The plain ledger learns from the real answer only what it cannot know: the number of a redemption.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Protocol

import asyncpg
import msgspec

from ledger import (
    Adjust,
    AdjustResult,
    Book,
    ClawBack,
    ClawBackResult,
    Fund,
    GrantOrder,
    GrantOutcome,
    GrantResult,
    Ledger,
    Operation,
    PurchaseReturn,
    Redeem,
    RedemptionOutcome,
    RedemptionResult,
    ReturnQuote,
    ReturnResult,
    sweep,
)
from tests.model.plain_book import last_day
from tests.model.plain_events import Returned, Told
from tests.model.plain_holds import NEVER
from tests.model.plain_ledger import PlainLedger


class Act(Protocol):
    """One thing to do."""

    async def post(self, ledger: Ledger) -> Any:
        """Do it to the real ledger."""
        ...

    def plainly(self, plain: PlainLedger, answer: Any) -> Any:
        """Do it to the plain one, and return what the real one is expected to say."""
        ...

    def told(self, answer: Any) -> Any:
        """What of the real answer is compared with that."""
        ...

    def seq(self, answer: Any) -> int | None:
        """The book's seq that the answer names, if it does."""
        ...


@dataclass(frozen=True)
class Granting:
    """A batch of reports comes in."""

    orders: tuple[GrantOrder, ...]

    async def post(self, ledger: Ledger) -> list[GrantResult]:
        answers = await ledger.grant_batch(self.orders)
        return [answer for answer in answers if isinstance(answer, GrantResult)]

    def plainly(self, plain: PlainLedger, answer: list[GrantResult]) -> list[tuple[Any, ...]]:
        told = plain.grant(self.orders)
        return [self._comparable(each, plain.spendable(order.customer)) for order, each in zip(self.orders, told, strict=True)]

    def told(self, answer: list[GrantResult]) -> list[tuple[Any, ...]]:
        return [self._comparable(Told(each.outcome, each.points, each.replayed, each.key), each.balance) for each in answer]

    @staticmethod
    def _comparable(told: Told, balance: int) -> tuple[Any, ...]:
        # Where there is nothing yet, no key is better than another.
        decided = told.outcome not in (GrantOutcome.STALE_CUSTOMER, GrantOutcome.PROOF_ONLY, GrantOutcome.WAITING)
        return (told.outcome, told.points, told.replayed, told.key if decided else None, balance)

    def seq(self, answer: list[GrantResult]) -> int:
        return max(each.balance_seq for each in answer)

    def with_others(self, others: list[Granting]) -> Granting:
        """One batch of several, as the queue makes it."""
        return Granting(tuple(order for each in (self, *others) for order in each.orders))


@dataclass(frozen=True)
class Funding:
    """Finance gives a campaign points."""

    fund: Fund

    async def post(self, ledger: Ledger) -> Any:
        return await ledger.fund(self.fund)

    def plainly(self, plain: PlainLedger, answer: Any) -> Any:
        return plain.fund(self.fund.campaign_no, self.fund.points)

    def told(self, answer: Any) -> Any:
        return answer.outcome, answer.budget, answer.issued

    def seq(self, answer: Any) -> None:
        return None


@dataclass(frozen=True)
class Merging:
    """Two customers turn out to be one."""

    book: Book
    loser: int
    survivor: int

    async def post(self, ledger: Ledger) -> Any:
        return await ledger.merge(self.book, loser=self.loser, survivor=self.survivor)

    def plainly(self, plain: PlainLedger, answer: Any) -> Any:
        return plain.merge(self.loser, self.survivor)

    def told(self, answer: Any) -> Any:
        return answer.outcome, answer.replayed, answer.points

    def seq(self, answer: Any) -> None:
        return None


@dataclass(frozen=True)
class Splitting:
    """Two customers turn out not to be one after all."""

    book: Book
    customer: int
    survivor: int

    async def post(self, ledger: Ledger) -> Any:
        return await ledger.split(self.book, customer=self.customer, survivor=self.survivor)

    def plainly(self, plain: PlainLedger, answer: Any) -> Any:
        return plain.split(self.customer, self.survivor)

    def told(self, answer: Any) -> Any:
        return answer.outcome, answer.replayed, answer.points

    def seq(self, answer: Any) -> None:
        return None


@dataclass(frozen=True)
class Settling:
    """Somebody approves or disapproves of what an event holds back."""

    book: Book
    campaign_no: int
    key: bytes
    matures: bool
    expires_on: date | None

    async def post(self, ledger: Ledger) -> Any:
        if self.matures:
            return await ledger.mature(self.book, self.campaign_no, self.key, expires_on=self.expires_on)
        return await ledger.reject(self.book, self.campaign_no, self.key)

    def plainly(self, plain: PlainLedger, answer: Any) -> Any:
        return plain.settle_event(self.key, matures=self.matures, expires_on=self.expires_on)

    def told(self, answer: Any) -> Any:
        return answer.outcome, answer.replayed

    def seq(self, answer: Any) -> None:
        return None


@dataclass(frozen=True)
class ClawingBack:
    """Somebody takes a grant back."""

    asked: ClawBack

    async def post(self, ledger: Ledger) -> ClawBackResult:
        return await ledger.claw_back(self.asked)

    def plainly(self, plain: PlainLedger, answer: ClawBackResult) -> Any:
        key = self.asked.event_key
        outcome, *moved = plain.claw_back(key, self.asked.points)
        customer = plain.survivor(plain.events[key].customer) if key in plain.events else 0
        outstanding = plain.outstanding(key)
        return outcome, *moved, outstanding, customer, plain.spendable(customer)

    def told(self, answer: ClawBackResult) -> Any:
        moved = answer.clawed_back, answer.shortfall, answer.outstanding
        return answer.outcome, *moved, answer.customer, answer.balance

    def seq(self, answer: ClawBackResult) -> None:
        return None


@dataclass(frozen=True)
class Returning:
    """Something that was bought comes back."""

    asked: PurchaseReturn
    quote: ReturnQuote | None = None

    async def post(self, ledger: Ledger) -> ReturnResult:
        return await ledger.return_purchase(self.asked)

    async def quoted(self, ledger: Ledger) -> Returning:
        """The same, with what it was said to do before it is done."""
        event = await ledger.event(self.asked.book, self.asked.campaign_no, self.asked.event_key)
        return self if event is None else replace(self, quote=await ledger.quote_return(self.asked, event))

    def plainly(self, plain: PlainLedger, answer: ReturnResult) -> Any:
        return plain.return_purchase(self.asked)

    def told(self, answer: ReturnResult) -> Any:
        if self.quote is not None and not answer.replayed and answer.correction is not None:
            short = answer.shortfall + answer.withheld_points
            did = (answer.outcome, answer.points, answer.clawed_back, short, answer.withheld_points, answer.withheld_minor)
            quote = msgspec.structs.astuple(self.quote)
            assert (quote[0], *quote[2:]) == did, f"it was to do {self.quote}"
        return Returned(*(getattr(answer, name) for name in Returned._fields))

    def seq(self, answer: ReturnResult) -> None:
        return None


@dataclass(frozen=True)
class Adjusting:
    """Somebody gives a customer points, or takes some."""

    asked: Adjust

    async def post(self, ledger: Ledger) -> AdjustResult:
        return await ledger.adjust(self.asked)

    def plainly(self, plain: PlainLedger, answer: AdjustResult) -> Any:
        asked = self.asked
        budget = asked.campaign_no or 0, False
        lot = last_day_of_now(asked.expires_on, plain), asked.account_class
        outcome = plain.adjust(asked.customer, asked.points, budget, lot)
        customer = plain.survivor(asked.customer)
        return outcome, customer, plain.spendable(customer), plain.budgets[budget] if asked.points > 0 else None

    def told(self, answer: AdjustResult) -> Any:
        return answer.outcome, answer.customer, answer.balance, answer.budget_left

    def seq(self, answer: AdjustResult) -> None:
        return None


def last_day_of_now(expires_on: date | None, plain: PlainLedger) -> date:
    """The last day of points that are paid today."""
    return NEVER if expires_on is None else last_day(expires_on, plain.today, plain.today)


@dataclass(frozen=True)
class Sweeping:
    """The sweeper comes by."""

    worker_pool: asyncpg.Pool[Any]
    book: Book
    limit: int

    async def post(self, ledger: Ledger) -> Any:
        await sweep(self.worker_pool, self.book, limit=self.limit)

    def plainly(self, plain: PlainLedger, answer: Any) -> Any:
        plain.sweep(self.limit)

    def told(self, answer: Any) -> Any:
        return None

    def seq(self, answer: Any) -> None:
        return None


@dataclass(frozen=True)
class Redeeming:
    """A till takes a step of a redemption."""

    step: Redeem

    async def post(self, ledger: Ledger) -> RedemptionResult:
        return await ledger.redeem(self.step)

    def plainly(self, plain: PlainLedger, answer: RedemptionResult) -> Any:
        step = self.step
        number = answer.redemption.redemption if answer.redemption else step.redemption
        replayed = False
        match step.operation:
            case Operation.AUTHORIZE:
                outcome = plain.authorize(step.customer, step.points, step.hold_s, number, capture=step.capture)
            case Operation.CAPTURE:
                outcome = plain.capture(number, step.points, final=step.final, grace=timedelta(seconds=step.grace_s))
            case Operation.VOID:
                outcome, replayed = plain.void(number)
            case _:
                outcome = plain.refund(number, step.points)
        if step.operation is Operation.AUTHORIZE and outcome is not RedemptionOutcome.DONE:
            return outcome, replayed, plain.spendable(step.customer), None
        return outcome, replayed, plain.spendable(plain.survivor(plain.holds[number].customer)), standing(plain, number)

    def told(self, answer: RedemptionResult) -> Any:
        redemption = answer.redemption
        said = redemption and (
            redemption.customer,
            redemption.status,
            redemption.expires_at,
            (redemption.authorized, redemption.captured, redemption.released, redemption.refunded),
        )
        return answer.outcome, answer.replayed, answer.balance, said

    def seq(self, answer: RedemptionResult) -> int | None:
        return answer.redemption.balance_seq if answer.redemption else None


def standing(plain: PlainLedger, number: int) -> tuple[Any, ...]:
    """How a redemption stands."""
    hold = plain.holds[number]
    return plain.survivor(hold.customer), hold.status, hold.deadline, hold.sums
