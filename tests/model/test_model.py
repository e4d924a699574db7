"""Random histories, posted to the real ledger and to a small one that is obviously right: both must say the same.

``REWARDS_MODEL_EXAMPLES`` and ``REWARDS_MODEL_STEPS`` ask for more or longer histories than the suite's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from datetime import date, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]
)

from ledger import (
    AccountClass,
    CapUse,
    GrantOrder,
    GrantResult,
    Ledger,
    Redeem,
    RedemptionOutcome,
    RedemptionResult,
    audit,
    month_end,
    open_book,
    sweep,
)
from ledger.testing import NOON, authorize, capture, fund, order, refund, set_clock, void
from service.database import APPLICATION_ROLE, WORKER_ROLE, connect, create_pool
from tests.conftest import Database
from tests.model.plain_ledger import Hold, PlainLedger

Answer = TypeVar("Answer")

EXAMPLES = int(os.environ.get("REWARDS_MODEL_EXAMPLES", "80"))
STEPS = int(os.environ.get("REWARDS_MODEL_STEPS", "50"))

CUSTOMERS = (1, 2)
CAMPAIGNS = (1, 2)
ISSUE_LIMIT = 2_500
ZONES = ["Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles"]
DAY_S = 86_400

sightings = st.fixed_dictionaries(
    {
        "customer": st.sampled_from(CUSTOMERS),
        "campaign_no": st.sampled_from(CAMPAIGNS),
        "message": st.integers(0, 7),
        "points": st.sampled_from([5, 10, 20, 50]),
        "waits": st.sampled_from([False, False, True]),
        "capped": st.sampled_from([False, True, True]),
        "account_class": st.sampled_from(AccountClass),
        "lasts": st.sampled_from(["a day", "two weeks", "this month", "next month", "for ever", "no longer"]),
    }
)
some_points = st.sampled_from([0, 1, 7, 15, 30, 45, 80])
holds = st.integers(0, 10**6)


class World:
    """The real ledger, and a loop to run it in."""

    def __init__(self, database: Database) -> None:
        self._loop = asyncio.new_event_loop()
        self.owner: asyncpg.Connection[Any] = self.run(connect(database.owner_url))
        self._pool = self.run(create_pool(database.application_url, APPLICATION_ROLE, size=4))
        self.worker_pool = self.run(create_pool(database.application_url, WORKER_ROLE, size=1))
        self.ledger = self.run(Ledger(self._pool).__aenter__())

    def run(self, doing: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for it."""
        return self._loop.run_until_complete(doing)

    def close(self) -> None:
        """Stop everything."""
        self.run(self.ledger.__aexit__(None, None, None))
        self._pool.terminate()
        self.worker_pool.terminate()
        self.run(self.owner.close())
        self._loop.close()


class History(RuleBasedStateMachine):
    """A book's life."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.ids: list[int] = []
        self.answered: list[tuple[Redeem, RedemptionResult]] = []
        self.messages = 0

    @initialize(zone=st.sampled_from(ZONES))
    def open_a_book(self, zone: str) -> None:
        """Start at noon, with two customers who have three lots each."""
        opening = open_book(self.world.owner, brand_id=1, unit="points", time_zone=zone, issue_limit=ISSUE_LIMIT)
        self.book = self.world.run(opening)
        self.plain = PlainLedger(NOON, ZoneInfo(zone), ISSUE_LIMIT)
        self._stop_the_clock()
        for campaign_no in CAMPAIGNS:
            self.fund(campaign_no, 500)
        lots = [
            ("two weeks", AccountClass.ENGAGEMENT),
            ("next month", AccountClass.PURCHASE),
            ("for ever", AccountClass.ENGAGEMENT),
        ]
        self.grant(
            [
                {"customer": customer, "campaign_no": 1, "message": 100 + n, "points": 40, "waits": False, "capped": False}
                | {"account_class": account_class, "lasts": lasts}
                for customer in CUSTOMERS
                for n, (lasts, account_class) in enumerate(lots)
            ]
        )

    def _stop_the_clock(self) -> None:
        self.world.run(set_clock(self.world.owner, self.book, self.plain.now))

    # ---- What happens

    @precondition(lambda self: min(self.plain.budgets.values()) < 100)
    @rule(campaign_no=st.sampled_from(CAMPAIGNS), points=st.sampled_from([1, 10, 50, 600]))
    def fund(self, campaign_no: int, points: int) -> None:
        """Finance gives a campaign points."""
        result = self.world.run(self.world.ledger.fund(fund(self.book, points, campaign_no=campaign_no)))
        assert (result.outcome, result.budget, result.issued) == self.plain.fund(campaign_no, points)

    @rule(reports=st.lists(sightings, min_size=1, max_size=6))
    def grant(self, reports: list[dict[str, Any]]) -> None:
        """A batch of reports comes in, some of them duplicates, some weak."""
        orders = [self._order(report) for report in reports]
        answers = self.world.run(self.world.ledger.grant_batch(orders))
        decided = [self.plain.grant(each) for each in orders]
        self.plain.settle()
        for each, answer, (outcome, points, replayed) in zip(orders, answers, decided, strict=True):
            assert isinstance(answer, GrantResult)
            assert (answer.outcome, answer.points, answer.replayed) == (outcome, points, replayed)
            assert answer.balance == self.plain.spendable(each.customer)

    def _order(self, report: dict[str, Any]) -> GrantOrder:
        today = self.plain.today
        last_days: dict[str, date | None] = {
            "a day": today + timedelta(days=1),
            "two weeks": today + timedelta(days=14),
            "this month": month_end(today, 0),
            "next month": month_end(today, 1),
            "for ever": None,
            "no longer": today - timedelta(days=1),
        }
        caps = (CapUse(0, today, max_grants=2), CapUse(1, today.replace(day=1), max_points=150)) if report["capped"] else ()
        return order(
            self.book,
            customer=report["customer"],
            campaign_no=report["campaign_no"],
            message_id=f"message-{report['message']}-of-{today:%Y-%m}",
            points=report["points"],
            waits=report["waits"],
            caps=caps,
            account_class=report["account_class"],
            expires_on=last_days[report["lasts"]],
            at=self.plain.now,
        )

    @rule(
        customer=st.sampled_from(CUSTOMERS),
        points=st.sampled_from([1, 30, 50, 70, 90, 110, 150]),
        hold_s=st.sampled_from([0, 1, 3600, DAY_S, 7 * DAY_S, 30 * DAY_S]),
        captures=st.booleans(),
    )
    def authorize(self, customer: int, points: int, hold_s: int, captures: bool) -> None:
        """A till sets points aside."""
        hold_s = max(hold_s, 1) if captures else hold_s
        result = self._redeem(authorize(self.book, customer, points, hold_s=hold_s, capture=captures))
        assert result.outcome is self.plain.authorize(customer, points, hold_s, capture=captures)
        if result.outcome is RedemptionOutcome.DONE:
            assert result.redemption is not None
            self.ids.append(result.redemption.redemption)
            self._compare(result, self.plain.holds[-1])
        assert result.balance == self.plain.spendable(customer)

    @precondition(lambda self: self.ids)
    @rule(which=holds, points=some_points, final=st.booleans())
    def capture(self, which: int, points: int, final: bool) -> None:
        """The till spends what it set aside."""
        redemption, hold = self._pick(which)
        result = self._redeem(capture(self.book, redemption, points, final=final))
        assert result.outcome is self.plain.capture(hold, points, final=final)
        self._compare(result, hold)

    @precondition(lambda self: self.ids)
    @rule(which=holds)
    def void(self, which: int) -> None:
        """The till changes its mind."""
        redemption, hold = self._pick(which)
        result = self.world.run(self.world.ledger.redeem(void(self.book, redemption)))
        assert (result.outcome, result.replayed) == self.plain.void(hold)
        self._compare(result, hold)

    @precondition(lambda self: self.ids)
    @rule(which=holds, points=some_points)
    def refund(self, which: int, points: int) -> None:
        """The customer brings something back."""
        redemption, hold = self._pick(which)
        result = self._redeem(refund(self.book, redemption, points))
        assert result.outcome is self.plain.refund(hold, points)
        self._compare(result, hold)

    @precondition(lambda self: self.answered)
    @rule(which=holds)
    def repeat(self, which: int) -> None:
        """A till did not get its answer and asks again with the same key."""
        step, first = self.answered[which % len(self.answered)]
        again = self.world.run(self.world.ledger.redeem(step))
        assert again.replayed
        assert (again.outcome, again.balance, again.redemption) == (first.outcome, first.balance, first.redemption)

    @rule(hours=st.sampled_from([1, 6, 12, 24, 3 * 24, 10 * 24, 35 * 24]))
    def time_passes(self, hours: int) -> None:
        """Hours or weeks go by."""
        self.plain.now += timedelta(hours=hours)
        self._stop_the_clock()
        self.plain.settle()

    @rule(limit=st.integers(1, 3))
    def sweep(self, limit: int) -> None:
        """The sweeper comes by; nobody may notice."""
        self.world.run(sweep(self.world.worker_pool, self.book, limit=limit))

    # ---- What must be so

    def _redeem(self, step: Redeem) -> RedemptionResult:
        result = self.world.run(self.world.ledger.redeem(step))
        assert not result.replayed
        self.answered.append((step, result))
        return result

    def _pick(self, which: int) -> tuple[int, Hold]:
        # Recent ones are more often open.
        place = -1 - which % min(len(self.ids), 4)
        return self.ids[place], self.plain.holds[place]

    def _compare(self, result: RedemptionResult, hold: Hold) -> None:
        redemption = result.redemption
        assert redemption is not None
        assert (redemption.status, redemption.customer, redemption.expires_at) == (hold.status, hold.customer, hold.deadline)
        assert (redemption.authorized, redemption.captured, redemption.released, redemption.refunded) == hold.sums
        assert redemption.balance == result.balance == self.plain.spendable(hold.customer)

    @invariant()
    def customers_have_what_the_plain_ledger_says(self) -> None:
        """After every step."""
        for customer in CUSTOMERS:
            balance = self.world.run(self.world.ledger.balance(self.book, customer))
            assert balance.lots == self.plain.lots(customer)
            assert (balance.held, balance.pending) == (self.plain.held(customer), 0)

    def teardown(self) -> None:
        """In the end all redemptions agree, the sweeper changes nothing, and the audit is clean."""
        if not hasattr(self, "plain"):
            return
        for redemption_id, hold in zip(self.ids, self.plain.holds, strict=True):
            redemption = self.world.run(self.world.ledger.redemption(self.book, redemption_id))
            assert redemption is not None
            self._compare(RedemptionResult(RedemptionOutcome.DONE, False, redemption.balance, redemption), hold)
        while self.world.run(sweep(self.world.worker_pool, self.book)):
            pass
        self.customers_have_what_the_plain_ledger_says()
        findings = self.world.run(audit(self.world.owner, self.book))
        assert [finding for finding in findings if finding.violations] == []


def test_the_ledger_says_what_a_plain_one_says(database: Database) -> None:
    world = World(database)
    try:
        run_state_machine_as_test(
            lambda: History(world),  # pyright: ignore[reportArgumentType]  any maker of machines will do
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
                print_blob=True,
            ),
        )
    finally:
        world.close()
