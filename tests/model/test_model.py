"""Random histories, posted to the real ledger and to a small one that is obviously right: both must say the same.

``REWARDS_MODEL_EXAMPLES`` and ``REWARDS_MODEL_STEPS`` ask for more or longer histories than the suite's.

    plain_book, plain_ledger           the small ledger; `plain_events` and `plain_holds` are what it keeps
    reports, plans, acts               what happens: drawn at random, made up when its turn comes, done to both ledgers
    world, at_once                     the real ledger as two processes; the order in which things done at once happened

Whoever changes it should plant a bug to see that it is still found. These were, each within some dozens of histories:
generations not compared; former keys not looked up; what waits under a former id paid again; a merge that forgets a class of
lots, or what is held back; a proof of grade B where A is needed; a rejection that frees no cap; a rolling day that counts both
its ends; a cap for all that counts each; a void that goes to who was merged away; a late capture that takes from who was merged
away, or after a void; a time-out, a merge or a split that pays no shortfall; one that is owed twice, or to the wrong budget; a
claw-back that overlooks a race, or takes what was spent; parts of a return that are each rounded; points taken that were paid
for; a quote of one that forgets what is owed.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]
)

from ledger import (
    AccountClass,
    Grade,
    GrantOutcome,
    MergeOutcome,
    Redeem,
    Redemption,
    RedemptionOutcome,
    RedemptionResult,
    audit,
    open_book,
    sweep,
    track_layers,
)
from ledger.testing import NOON, set_clock, void
from tests.conftest import Database
from tests.ledger.layers.whole_log import fold_whole_log
from tests.model import plans
from tests.model.acts import Act, Granting, Redeeming, Returning, standing
from tests.model.at_once import Done, plain_outcomes
from tests.model.plain_ledger import PLENTY, PlainLedger
from tests.model.plans import Plan, act_of, customers_of
from tests.model.reports import CAMPAIGNS, CUSTOMERS, Report, customers, reports
from tests.model.world import PROCESSES, World, picture

EXAMPLES = int(os.environ.get("REWARDS_MODEL_EXAMPLES", "50"))
STEPS = int(os.environ.get("REWARDS_MODEL_STEPS", "50"))

ISSUE_LIMIT = 2_500
ZONES = ["Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles", "Australia/Lord_Howe"]
BEGINNINGS = [NOON, NOON + timedelta(days=74)]
"""The second is the day before Berlin's clocks change, on the last day of a month."""
MIDNIGHT = 0
DAY_S = 86_400
CLOCK_STANDS_S = 30.0


class History(RuleBasedStateMachine):
    """A book's life. What can be done does not depend on what was answered, or the same history could not be told again."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.answered: list[tuple[Redeem, RedemptionResult]] = []
        self.clock_set_at = -math.inf
        self.named: set[int] = set()

    @initialize(zone=st.sampled_from(ZONES), begins_at=st.sampled_from(BEGINNINGS))
    def open_a_book(self, zone: str, begins_at: datetime) -> None:
        """Start at noon, with three customers who have three lots each, and something that is held back."""
        opening = open_book(self.world.owner, brand_id=1, unit="points", time_zone=zone, issue_limit=ISSUE_LIMIT)
        self.book = self.world.run(opening)
        self.plain = PlainLedger(begins_at, ZoneInfo(zone), ISSUE_LIMIT)
        for campaign_no in CAMPAIGNS:
            self.plain.budgets[campaign_no, True] = PLENTY
            self.do(("fund", campaign_no, 600))
        lots = [
            ("two weeks", AccountClass.ENGAGEMENT),
            ("next month", AccountClass.PURCHASE),
            ("for ever", AccountClass.THIRD_PARTY),
        ]
        first = [
            Report(customer, message=100 + n, action="click", alone=True, points=40, account_class=account_class, lasts=lasts)
            for customer in CUSTOMERS[:3]
            for n, (lasts, account_class) in enumerate(lots)
        ]
        self.do(("grant", first))
        self.do(("grant", [Report(customer, message=200, points=10, held_back_h=240) for customer in CUSTOMERS[:3]]))

    # ---- What happens

    @rule(plan=plans.GRANT)
    def grant(self, plan: Plan) -> None:
        """A batch of reports comes in, some of them duplicates, some weak, some late, some by who knows too little."""
        self._send_again(plan, self.do(plan))

    @rule(plan=plans.GRANT)
    def grant_more(self, plan: Plan) -> None:
        """The same: it is what happens most."""
        self._send_again(plan, self.do(plan))

    @rule(plan=plans.FUND)
    def fund(self, plan: Plan) -> None:
        """Finance gives a campaign points if it needs them."""
        if self.plain.budgets[plan[1], False] < 100:
            self.do(plan)

    @rule(plan=plans.MERGE)
    def merge(self, plan: Plan) -> None:
        """Two customers turn out to be one."""
        self.do(plan)

    @rule(plan=plans.SPLIT)
    def split(self, plan: Plan) -> None:
        """Two customers turn out not to be one after all, or never were."""
        self.do(plan)

    @rule(plan=plans.SPLIT, meanwhile=plans.batches, after=plans.batches)
    def two_turn_out_not_to_be_one(self, plan: Plan, meanwhile: list[Report], after: list[Report]) -> None:
        """Two customers are said to have done something with a message, then to be two, then to have done more with it."""
        same = {"campaign_no": after[0].campaign_no, "message": after[0].message}
        self.grant(("grant", [replace(each, **same) for each in meanwhile]))
        self.do(plan)
        self.grant(("grant", [replace(each, **same) for each in (*after, *meanwhile)]))

    @rule(loser=customers, survivor=customers, both=reports, after=plans.batches)
    def two_turn_out_to_be_one(self, loser: int, survivor: int, both: Report, after: list[Report]) -> None:
        """Two customers are said to have done the same, then to be one, then to have done more with the same message."""
        self.grant(("grant", [replace(both, customer=loser), replace(both, customer=survivor)]))
        self.do(("merge", loser, survivor))
        self.grant(("grant", [replace(each, campaign_no=both.campaign_no, message=both.message) for each in after]))

    @rule(loser=customers, survivor=customers, act=reports, message=st.integers(3, 9), grades=plans.grades)
    def one_turns_out_to_be_another(self, loser: int, survivor: int, act: Report, message: int, grades: list[Grade]) -> None:
        """What waits for a customer who turns out to be another is reported again, more than once in one batch."""
        act = replace(act, message=message, alone=False, grade=Grade.D)
        self.grant(("grant", [replace(act, customer=loser)]))
        self.do(("merge", loser, survivor))
        self.grant(("grant", [replace(act, customer=survivor, grade=grade) for grade in grades]))

    @rule(survivor=customers, happens=st.sampled_from([False, False, False, False, True]))
    def merge_many(self, survivor: int, happens: bool) -> None:
        """Now and then one customer after the other turns out to be this one, until she has as many ids as one may have."""
        if not happens:
            return
        for loser in reversed(CUSTOMERS):
            if loser != survivor and self.do(("merge", loser, survivor)).outcome is MergeOutcome.TOO_MANY:
                return

    @rule(plan=plans.SETTLE)
    def settle(self, plan: Plan) -> None:
        """Somebody approves of points that are held back, or does not."""
        self.do(plan)

    @rule(plan=plans.CLAW_BACK)
    def claw_back(self, plan: Plan) -> None:
        """A grant is taken back, mostly whole."""
        self.do(plan)

    @rule(plan=plans.RETURN)
    def return_purchase(self, plan: Plan) -> None:
        """Something that was bought comes back, mostly all of it."""
        self.do(plan)

    @rule(
        spending=plans.AUTHORIZE,
        which=plans.which_ones,
        parts=st.lists(plans.RETURN, min_size=2, max_size=4),
        points=plans.some_points,
    )
    def return_what_was_spent(self, spending: Plan, which: int, parts: list[Plan], points: int) -> None:
        """What was spent comes back in parts, some of it paid for; then points return, and the grant was a mistake."""
        verb, customer, wanted, hold_s, _ = spending
        self.authorize((verb, customer, wanted, hold_s, True))
        for _, _, *how in parts:
            self.do(("return", which, *how))
        self.do(("refund", 0, points))
        self.do(("claw back", which, None))

    @rule(
        setting_aside=plans.AUTHORIZE,
        plan=st.one_of(plans.CLAW_BACK, plans.RETURN),
        points=plans.some_points,
        then=st.sampled_from(["void", "wait", "capture"]),
    )
    def claw_back_what_is_set_aside(self, setting_aside: Plan, plan: Plan, points: int, then: str) -> None:
        """Points are set aside, taken back, and then they return; or some of them do."""
        self.authorize(setting_aside)
        self.do(plan)
        match then:
            case "void":
                self.do(("void", 0))
            case "capture":
                self.do(("capture", 0, points, True, 0))
                self.do(("refund", 0, points))
            case _:
                self.time_passes(24)

    @rule(
        setting_aside=plans.AUTHORIZE,
        part=plans.some_points,
        hours=st.sampled_from([24, 24, 8 * 24, 31 * 24]),
        meanwhile=st.one_of(plans.MERGE, plans.SPLIT, plans.CLAW_BACK, plans.VOID, plans.SWEEP, plans.AUTHORIZE),
        into=st.sampled_from([None, None, *CUSTOMERS[:3]]),
        captures=st.lists(plans.CAPTURE, min_size=1, max_size=3),
        points=plans.some_points,
    )
    def capture_late(
        self,
        setting_aside: Plan,
        part: int,
        hours: int,
        meanwhile: Plan,
        into: int | None,
        captures: list[Plan],
        points: int,
    ) -> None:
        """A till that was offline captures what has timed out, more than once; and then something comes back. Meanwhile the
        customer may have turned out to be another.
        """
        verb, customer, wanted, hold_s, _ = setting_aside
        self.authorize((verb, customer, wanted, hold_s, False))
        self.do(("capture", 0, part, False, 0))
        self.time_passes(hours)
        self.do(meanwhile)
        if into is not None:
            self.do(("merge", self.plain.survivor(customer), into))
        for _, which, amount, final, grace_s in captures:
            self.do(("capture", which % 2, amount, final, grace_s))
        self.do(("void", 0))
        self.do(("refund", 0, points))

    @rule(plan=plans.ADJUST)
    def adjust(self, plan: Plan) -> None:
        """An agent gives a customer points, or takes some."""
        self.do(plan)

    @rule(plan=plans.SWEEP)
    def sweep(self, plan: Plan) -> None:
        """The sweeper comes by, mostly more than once; nobody may notice, but who waits for what is held back."""
        for _ in range(plan[1]):
            self.do(plan)

    @rule(moves=st.integers(1, 20))
    def read_layers(self, moves: int) -> None:
        """Somebody reads on which grants were spent; nobody may notice."""
        self.world.run(track_layers(self.world.worker_pool, self.book, moves=moves))

    @rule(plan=plans.AUTHORIZE)
    def authorize(self, plan: Plan) -> None:
        """A till sets points aside."""
        self._send_again(plan, self.do(plan))

    @rule(plan=plans.CAPTURE)
    def capture(self, plan: Plan) -> None:
        """The till spends what it set aside."""
        self.do(plan)

    @rule(plan=plans.VOID)
    def void(self, plan: Plan) -> None:
        """The till changes its mind."""
        self.do(plan)

    @rule(plan=plans.REFUND)
    def refund(self, plan: Plan) -> None:
        """The customer brings something back."""
        self.do(plan)

    @rule(which=plans.which_ones)
    def repeat(self, which: int) -> None:
        """A till did not get its answer and asks again with the same key."""
        if not self.answered:
            return
        step, first = self.answered[which % len(self.answered)]
        again = self.world.run(self.world.ledgers[0].redeem(step))
        assert again.replayed
        assert (again.outcome, again.balance, again.redemption) == (first.outcome, first.balance, first.redemption)

    @rule(hours=st.sampled_from([MIDNIGHT, MIDNIGHT, 1, 6, 12, 24, 24, 3 * 24, 10 * 24, 35 * 24]))
    def time_passes(self, hours: int) -> None:
        """Hours or weeks go by, or the day where the book is kept."""
        self.plain.pass_time(self.plain.now + timedelta(hours=hours) if hours else self.plain.next_midnight)
        self.clock_set_at = -math.inf
        self._keep_the_clock()
        self._check()

    @rule(planned=plans.SEVERAL)
    def at_once(self, planned: list[Plan]) -> None:
        """Several things happen at the same time, to two processes."""
        made = [(plan, act) for plan in planned if (act := self._act(plan))]
        self._keep_the_clock()
        done = self.world.run(self._do_at_once([act for _, act in made]))
        shown = self.world.picture(self.book, self.named)
        plain = next((plain for plain in plain_outcomes(self.plain, done) if picture(plain, self.named) == shown), None)
        assert plain is not None, f"no order explains {[(each.act, each.act.told(each.answer)) for each in done]}"
        self.plain = plain
        for (plan, _), each in zip(made, done, strict=True):
            self._send_again(plan, each.answer)

    # ---- Doing it

    def do(self, plan: Plan) -> Any:
        """Do one thing to both ledgers; they must agree on it, and on what everybody has."""
        act = self._act(plan)
        if act is None:
            return None
        self._keep_the_clock()
        quote = self._quote(act)
        act = self._quoted(act)
        answer = self.world.run(act.post(self.world.ledgers[0]))
        assert quote is None or quote == [(each.outcome, each.points, each.replayed) for each in answer]
        self._keep_answer(act, answer)
        told, expected = act.told(answer), act.plainly(self.plain, answer)
        assert told == expected, f"{act} was told {told} instead of {expected}"
        self._check()
        return answer

    def _quote(self, act: Act) -> list[tuple[GrantOutcome, int, bool]] | None:
        """What a report is said to be worth before it comes; several at once may say different things of each other."""
        if not isinstance(act, Granting) or len(act.orders) > 1:
            return None
        quotes = self.world.run(self.world.ledgers[-1].quotes(act.orders))
        return [(quote.outcome, quote.points, quote.replayed) for quote in quotes]

    def _quoted(self, act: Act) -> Act:
        """A return with what it is said to do."""
        return self.world.run(act.quoted(self.world.ledgers[-1])) if isinstance(act, Returning) else act

    def _act(self, plan: Plan) -> Act | None:
        self.named |= customers_of(plan)
        return act_of(plan, self.world, self.book, self.plain)

    def _send_again(self, plan: Plan, answer: Any) -> None:
        """Who was told that the customer has moved looks her up and asks again, and is not sent away a second time."""
        match plan:
            case ("grant", batch):
                moved = [
                    replace(report, informed=True)
                    for report, told in zip(batch, answer, strict=True)
                    if told.outcome is GrantOutcome.STALE_CUSTOMER
                ]
                if moved:
                    assert all(told.outcome is not GrantOutcome.STALE_CUSTOMER for told in self.do(("grant", moved)))
            case ("authorize", customer, *rest) if answer.outcome is RedemptionOutcome.STALE_CUSTOMER:
                again = self.do(("authorize", self.plain.survivor(customer), *rest))
                assert again.outcome is not RedemptionOutcome.STALE_CUSTOMER
            case _:
                pass

    async def _do_at_once(self, acts: list[Act]) -> list[Done]:
        processes = [n % PROCESSES for n in range(len(acts))]
        posting = [act.post(self.world.ledgers[process]) for act, process in zip(acts, processes, strict=True)]
        answers = await asyncio.gather(*posting)
        for act, answer in zip(acts, answers, strict=True):
            self._keep_answer(act, answer)
        return [Done(act, process, answer) for act, process, answer in zip(acts, processes, answers, strict=True)]

    def _keep_answer(self, act: Act, answer: Any) -> None:
        if isinstance(act, Redeeming) and act.step.key and answer.outcome is not RedemptionOutcome.STALE_CUSTOMER:
            self.answered.append((act.step, answer))

    def _keep_the_clock(self) -> None:
        if time.monotonic() - self.clock_set_at > CLOCK_STANDS_S:
            self.world.run(set_clock(self.world.owner, self.book, self.plain.now))
            self.clock_set_at = time.monotonic()

    # ---- What must be so

    def _check(self) -> None:
        real, plain = self.world.picture(self.book, self.named), picture(self.plain, self.named)
        differ = {what: (real.get(what), plain.get(what)) for what in {*real, *plain} if real.get(what) != plain.get(what)}
        assert not differ, f"the ledger and the plain one differ: {differ}"

    def _check_the_days(self) -> None:
        """What fell due counts on its day, and so what was owed at the end of each day is what it was."""
        fell_due = {dated: points for dated, points in self.plain.fell_due.items() if points}
        assert self.world.fell_due(self.book) == fell_due
        assert self.world.owed(self.book, list(self.plain.owed)) == self.plain.owed

    def teardown(self) -> None:
        """In the end all redemptions agree, the sweeper changes nothing and leaves nothing, and the audit is clean."""
        if not hasattr(self, "plain"):
            return
        self._keep_the_clock()
        for number in self.plain.holds:
            redemption = self.world.run(self.world.ledgers[0].redemption(self.book, number))
            assert redemption is not None
            act = Redeeming(void(self.book, number))
            *_, said = act.told(RedemptionResult(RedemptionOutcome.DONE, False, redemption.balance, redemption))
            assert said == standing(self.plain, number)
            self._check_sources(redemption)
        while self.world.run(sweep(self.world.worker_pool, self.book)):
            pass
        for _ in range(2):
            self.plain.sweep(PLENTY)
        self.named.update(CUSTOMERS)
        self._check()
        assert self.world.left_undone(self.book, self.plain.today) == 0
        self._check_layers()
        self._check_the_days()
        findings = self.world.run(audit(self.world.owner, self.book))
        assert [finding for finding in findings if finding.violations] == []

    def _check_sources(self, redemption: Redemption) -> None:
        found = self.world.run(self.world.ledgers[-1].redemption_sources(self.book, redemption.redemption))
        assert found is not None
        columns = zip(*((each.authorized, each.held, each.captured, each.refunded) for each in found.sources), strict=True)
        assert [sum(column) for column in columns] == [
            redemption.authorized + self.plain.holds[redemption.redemption].captured_late,
            redemption.authorized - redemption.captured - redemption.released,
            redemption.captured,
            redemption.refunded,
        ]

    def _check_layers(self) -> None:
        """Read on to the end, each transfer has the layers that the log says when it is read as a whole."""
        while self.world.run(track_layers(self.world.worker_pool, self.book)):
            pass
        head = self.world.run(self.world.ledgers[0].head(self.book))
        parts, _ = fold_whole_log(self.world.run(self.world.ledgers[0].transfers(self.book, after=0, cut=head.seq)))
        assert self.world.layers(self.book) == sorted((part.seq, part.layer, part.amount) for part in parts)


def test_the_ledger_says_what_a_plain_one_says(database: Database) -> None:
    world = World(database)
    try:
        run_state_machine_as_test(
            lambda: History(world),  # pyright: ignore[reportArgumentType]  any maker of machines will do
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                # They judge how examples are drawn; a history may be long, or slow to draw.
                suppress_health_check=(
                    HealthCheck.too_slow,
                    HealthCheck.data_too_large,
                    HealthCheck.filter_too_much,
                    HealthCheck.large_base_example,
                ),
                print_blob=True,
            ),
        )
    finally:
        world.close()
