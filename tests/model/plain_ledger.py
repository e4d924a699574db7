"""What can be done to a plain book: grant, settle what is held back, take back, redeem. Each is decided when it comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

from ledger import (
    AdjustOutcome,
    CapUse,
    ClawBackOutcome,
    GrantOrder,
    GrantOutcome,
    PurchaseReturn,
    RedemptionOutcome,
    ReturnOutcome,
    SettleOutcome,
)
from tests.model.plain_book import PlainBook, last_day
from tests.model.plain_events import Event, Returned, Told, heard, is_strong
from tests.model.plain_holds import Budget, Hold, Lot, LotKey, move

DAY = timedelta(days=1)
COMPARABLE = timedelta(hours=73)
"""How far back the real ledger still knows what it counts against caps of the last day."""

PLENTY = 10**12


class PlainLedger(PlainBook):
    """One book, and all that its customers, tills and operators ask for."""

    # ---- Granting

    def grant(self, orders: Iterable[GrantOrder]) -> list[Told]:
        """Decide a batch: one report after the other, then what is proved by all of them."""
        batch = heard(orders)
        told: list[Told] = []
        for order, knows, is_first in batch:
            if order.customer in self.survivors or knows != self.generations[order.customer]:
                told.append(Told(GrantOutcome.STALE_CUSTOMER, 0, False, order.key))
            elif order.terms.points == 0:
                told.append(Told(GrantOutcome.PROOF_ONLY, 0, False, order.key))
            else:
                told.append(self._report(order, again=order.terms.again and is_first))
        reported = [
            order
            for (order, _, _), answer in zip(batch, told, strict=True)
            if answer.outcome not in (GrantOutcome.STALE_CUSTOMER, GrantOutcome.NOT_FUNDED)
        ]
        for key in self._prove(reported):
            event = self.events[key]
            for n, answer in enumerate(told):
                if answer.key == key and answer.outcome is GrantOutcome.WAITING:
                    told[n] = answer._replace(outcome=event.outcome, points=event.points)
        self.settle()
        return told

    def _known(self, keys: Iterable[bytes]) -> bytes | None:
        """Under which of its keys an event counts: paid before refused before waiting; then her own, then the first decided."""
        own, *former = keys
        known = [key for key in (own, *(key for key in self.events if key in former)) if key in self.events]
        return max(known, key=lambda key: self.events[key].rank, default=None)

    def _decided_in_the_past(self, customer: int, keys: Iterable[tuple[int, bytes]]) -> list[bytes]:
        """Of keys of those who were one with her once, the ones of what was decided while they were."""
        found = [(other, key) for other, key in keys if key in self.events and not self.events[key].waits]
        return [key for other, key in found if self.were_one(customer, other, self.events[key].decided)]

    def _report(self, order: GrantOrder, *, again: bool) -> Told:
        known = self._known((order.key, *order.former_keys, *self._decided_in_the_past(order.customer, order.past_keys)))
        event = self.events[known] if known else None
        if known and event and (order.terms.waits or not (event.waits or (again and event.refused))):
            return Told(event.outcome, event.points, True, known)
        outcome = GrantOutcome.WAITING if order.terms.waits else self._decide(order)
        if outcome is GrantOutcome.BUDGET_EXHAUSTED and not self._was_funded(order) and not (event and event.refused):
            return Told(GrantOutcome.NOT_FUNDED, 0, False, order.key)
        if known and event and event.outcome is outcome:
            return Told(outcome, 0, True, known)
        self._record(order.key, Event(order, order.customer, outcome))
        return Told(outcome, self.events[order.key].points, False, order.key)

    def _decide(self, order: GrantOrder) -> GrantOutcome:
        passed = [cap for cap in order.terms.caps if self._passes(order, cap)]
        if passed:
            return GrantOutcome.GROUP_CAP_REACHED if all(cap.group for cap in passed) else GrantOutcome.CAP_REACHED
        if order.terms.points > self.budgets[order.terms.campaign_no, order.terms.unlimited]:
            return GrantOutcome.BUDGET_EXHAUSTED
        return GrantOutcome.HELD_BACK if order.terms.held_back else GrantOutcome.GRANTED

    def _was_funded(self, order: GrantOrder) -> bool:
        return order.terms.unlimited or order.terms.campaign_no in self.funded

    def _passes(self, order: GrantOrder, cap: CapUse) -> bool:
        if cap.period is None and order.window_at < self.now - COMPARABLE:
            return True
        counted = [
            event.points
            for event in self.events.values()
            if event.paid
            and event.order.terms.campaign_no == order.terms.campaign_no
            and (cap.shared or event.customer == order.customer)
            and any((each.cap, each.period, each.group) == (cap.cap, cap.period, cap.group) for each in event.order.terms.caps)
            and (cap.period is not None or abs(event.order.window_at - order.window_at) < DAY)
        ]
        return (cap.max_grants is not None and len(counted) + 1 > cap.max_grants) or (
            cap.max_points is not None and sum(counted) + order.terms.points > cap.max_points
        )

    def _record(self, key: bytes, event: Event) -> None:
        """Keep a decision, behind all others, and let its points go where they belong."""
        self.events.pop(key, None)
        self.decisions += 1
        self.events[key] = replace(event, decided=self.decisions, at=self.now)
        self.budgets[event.order.terms.campaign_no, event.order.terms.unlimited] -= event.points
        if event.outcome is GrantOutcome.GRANTED:
            self._credit(key, event, self._living(event.order, event.order.terms.expires_on))

    def _living(self, order: GrantOrder, expires_on: date | None) -> date | None:
        """The last day of what is paid now: if it is past, that of points that are earned now."""
        return expires_on if expires_on is None or expires_on >= self.today else self._as_of_now(order, expires_on)

    def _as_of_now(self, order: GrantOrder, expires_on: date | None) -> date | None:
        return expires_on and last_day(expires_on, self.day(order.window_at), self.today)

    def _prove(self, orders: list[GrantOrder]) -> list[bytes]:
        """Leave the proofs of strong acts, then pay what waits and is proved. Return the keys of what was paid or refused."""
        for order in orders:
            if order.corroboration and is_strong(order):
                key = order.corroboration.proof_keys[0]
                self.proofs[key] = min(order.terms.grade, self.proofs.get(key, order.terms.grade))
        decided: list[bytes] = []
        for order in orders:
            if order.corroboration is None:
                continue
            proofs = [self.proofs[key] for key in order.corroboration.proof_keys if key in self.proofs]
            proved = (
                [(order.key, *order.former_keys)]
                if order.terms.waits and proofs and min(proofs) <= order.corroboration.needs
                else []
            )
            may_wait = order.corroboration.may_wait if is_strong(order) else ()
            past = [order.past_keys] * len(proved) + list(order.corroboration.past_keys or [()] * len(may_wait))
            for keys, once in zip([*proved, *may_wait], past, strict=False):
                known = self._known(keys)
                if self._decided_in_the_past(order.customer, once):
                    continue
                if known and self.events[known].waits and self._was_funded(self.events[known].order):
                    event = self.events[known]
                    expires_on = self._as_of_now(event.order, event.order.terms.expires_on)
                    waiting = event.now_of(order.customer, self.now, expires_on)
                    self._record(known, Event(waiting, order.customer, self._decide(waiting)))
                    decided.append(known)
        return decided

    # ---- Points held back

    def settle_event(self, key: bytes, *, matures: bool, expires_on: date | None) -> tuple[SettleOutcome, bool]:
        """Give what is held back to the customer, or to the campaign again; the flag says that it had been done."""
        event = self.events.get(key)
        if event is None:
            return SettleOutcome.NOT_FOUND, False
        wanted = GrantOutcome.GRANTED if matures else GrantOutcome.REJECTED
        if event.outcome is not GrantOutcome.HELD_BACK:
            done = event.order.terms.held_back and event.outcome is wanted
            return (SettleOutcome.SETTLED, True) if done else (SettleOutcome.NOT_HELD_BACK, False)
        is_due = event.due_at <= self.now
        self._end_holding_back(
            key, GrantOutcome.REJECTED if is_due else wanted, expires_on and last_day(expires_on, self.today, self.today)
        )
        self.settle()
        return (SettleOutcome.NOT_HELD_BACK if is_due and matures else SettleOutcome.SETTLED), False

    def sweep(self, limit: int) -> None:
        """Notice the first ``limit`` events that are held back past their time; if there are none, the first holds that timed
        out. All else is no news.
        """
        due = [key for key, event in self.events.items() if event.held_back and event.due_at <= self.now]
        for key in sorted(due, key=lambda key: self.events[key].due_at)[:limit]:
            self._end_holding_back(key, GrantOutcome.REJECTED, None)
        holds = [(hold.deadline, number) for number, hold in self.holds.items() if hold.timed_out and not hold.noticed]
        for _, number in () if due else sorted(holds)[:limit]:
            self._touch(self.survivor(self.holds[number].customer))

    # ---- Taking back

    def claw_back(self, key: bytes, points: int | None) -> tuple[ClawBackOutcome, int, int]:
        """Take back what is there of a grant. What is held or spent is short: it is taken when it comes back."""
        if key not in self.events:
            return ClawBackOutcome.NOT_FOUND, 0, 0
        for customer in self._who_has(key):
            self._touch(customer)
        event = self.events[key]
        if event.outcome is GrantOutcome.HELD_BACK:
            if points not in (None, event.points):
                return ClawBackOutcome.HELD_BACK_WHOLE, 0, 0
            self._end_holding_back(key, GrantOutcome.REJECTED, None)
            return ClawBackOutcome.REJECTED, event.points, 0
        if event.outcome is not GrantOutcome.GRANTED:
            return ClawBackOutcome.NOT_GRANTED, 0, 0
        left = self.left(key)
        if points is not None and points > left:
            return ClawBackOutcome.MORE_THAN_IS_LEFT, 0, 0
        points = left if points is None else points
        taken = self._take_back(self.layers[key], points)
        self._fall_short(self.layers[key], points - taken)
        return ClawBackOutcome.CLAWED_BACK, taken, points - taken

    def return_purchase(self, asked: PurchaseReturn) -> Returned:
        """Take back what a part of a purchase earned, or let the customer pay for what is short, once for each reference."""
        key, left = asked.event_key, asked.bought - self.returned[asked.event_key]
        request, first = self.returns.get((key, asked.reference), (b"", None))
        if first is not None:
            return first._replace(replayed=True) if request == asked.request_hash else Returned(ReturnOutcome.RETURN_EXISTS)
        for customer in self._who_has(key) if key in self.events else ():
            self._touch(customer)
        refusal = self._refuses_return(key, asked.amount, left)
        if refusal is not None:
            known = refusal is not ReturnOutcome.NOT_FOUND
            return Returned(refusal, returned=self.returned[key] if known else 0)
        assert asked.per_points
        assert asked.per_minor_units
        earned = [amount * asked.per_points // asked.per_minor_units for amount in (left, left - asked.amount)]
        told = self._take_what_was_earned(key, earned[0] - earned[1], asked)
        self.returned[key] += asked.amount
        customer = self.survivor(self.events[key].customer)
        told = told._replace(
            returned=self.returned[key],
            points=earned[0] - earned[1],
            outstanding=self.outstanding(key),
            customer=customer,
            balance=self.spendable(customer),
        )
        self.returns[key, asked.reference] = asked.request_hash, told
        return told

    def _refuses_return(self, key: bytes, amount: int, left: int) -> ReturnOutcome | None:
        if key not in self.events:
            return ReturnOutcome.NOT_FOUND
        event = self.events[key]
        if not event.paid:
            return ReturnOutcome.NOT_GRANTED
        if amount > left:
            return ReturnOutcome.MORE_THAN_WAS_BOUGHT
        return ReturnOutcome.HELD_BACK_WHOLE if event.held_back and amount < left else None

    def _take_what_was_earned(self, key: bytes, points: int, asked: PurchaseReturn) -> Returned:
        if self.events[key].held_back:
            self._end_holding_back(key, GrantOutcome.REJECTED, None)
            return Returned(ReturnOutcome.REJECTED, clawed_back=points)
        points = min(points, self.left(key))
        taken = self._take_back(self.layers[key], points)
        paid, money = 0, 0
        if asked.value is not None:
            before = asked.value.worth(self.withheld[key])
            worth = [asked.value.worth(self.withheld[key] + each) - before for each in range(points - taken + 1)]
            paid = max(each for each, money in enumerate(worth) if money <= asked.amount)
            money = worth[paid]
        self.withheld[key] += paid
        self._fall_short(self.layers[key], points - taken - paid)
        return Returned(
            ReturnOutcome.RETURNED,
            clawed_back=taken,
            shortfall=points - taken - paid,
            withheld_points=paid,
            withheld_minor=money,
        )

    def adjust(self, customer: int, points: int, budget: Budget, lot: Lot) -> AdjustOutcome:
        """Give points out of a budget, or take what expires soonest."""
        customer = self.survivor(customer)
        self._touch(customer)
        if points > 0:
            if points > self.budgets[budget]:
                return AdjustOutcome.BUDGET_EXHAUSTED
            self.budgets[budget] -= points
            self.pay(customer, points, budget, lot)
        elif -points > self.spendable(customer):
            return AdjustOutcome.INSUFFICIENT_BALANCE
        else:
            move(self.wallets[customer], -points)
        return AdjustOutcome.ADJUSTED

    def _holds_with(self, layer: int) -> list[tuple[int, int]]:
        """Whose redemptions have some of a grant, and how much."""
        holds = [(self.survivor(hold.customer), hold) for hold in self.holds.values()]
        found = [
            (whose, points)
            for whose, hold in holds
            for lots in (hold.held, hold.spent)
            for key, points in lots.items()
            if key[2] == layer
        ]
        return [(whose, points) for whose, points in found if points]

    def _in_wallets(self, layer: int) -> list[tuple[int, LotKey]]:
        """Where points of a grant are that can be spent."""
        return [
            (customer, key)
            for customer, wallet in self.wallets.items()
            for key, points in wallet.items()
            if key[2] == layer and points
        ]

    def _who_has(self, key: bytes) -> set[int]:
        layer = self.layers.get(key, 0)
        return {
            self.survivor(self.events[key].customer),
            *(customer for customer, _ in self._in_wallets(layer)),
            *(customer for customer, _ in self._holds_with(layer)),
        }

    def is_away(self, key: bytes) -> bool:
        """Whether a redemption has some of a grant."""
        return bool(self._holds_with(self.layers.get(key, 0)))

    def outstanding(self, key: bytes) -> int:
        """What is still to be taken back of a grant."""
        return sum(points for (_, layer), points in self.short.items() if layer == self.layers.get(key))

    def left(self, key: bytes) -> int:
        """What of a grant was neither taken back, nor is still to be, nor has expired, nor was paid for in money."""
        layer = self.layers.get(key, 0)
        there = sum(self.wallets[customer][lot] for customer, lot in self._in_wallets(layer))
        there += sum(points for _, points in self._holds_with(layer))
        return max(there - self.outstanding(key) - self.withheld[key], 0)

    def _take_back(self, layer: int, points: int) -> int:
        taken = 0
        for customer, lot in sorted(self._in_wallets(layer), key=lambda where: (where[1][0], where[0], where[1])):
            part = min(points - taken, self.wallets[customer][lot])
            self.wallets[customer][lot] -= part
            taken += part
        self.budgets[self.paid[layer][1]] += taken
        return taken

    def _fall_short(self, layer: int, points: int) -> None:
        room: Counter[int] = Counter()
        for customer, held in self._holds_with(layer):
            room[customer] += held
        for customer in sorted(room):
            part = min(points, room[customer] - self.short[customer, layer])
            self.short[customer, layer] += part
            points -= part
        assert not points

    # ---- Redeeming

    def _touched(self, number: int) -> Hold:
        hold = self.holds[number]
        self._touch(self.survivor(hold.customer))
        return hold

    def authorize(self, customer: int, points: int, hold_s: int, number: int, *, capture: bool) -> RedemptionOutcome:
        """Set points aside, soonest to expire first, under a number that is given."""
        if customer in self.survivors:
            return RedemptionOutcome.STALE_CUSTOMER
        self._touch(customer)
        if points > self.spendable(customer):
            return RedemptionOutcome.INSUFFICIENT_BALANCE
        hold = self.holds[number] = Hold(customer, self.now + timedelta(seconds=hold_s), authorized=points)
        for lot, part in move(self.wallets[customer], points):
            hold.held[lot] += part
        if capture:
            self.capture(number, 0, final=True)
        self.settle()
        return RedemptionOutcome.DONE

    def capture(self, number: int, points: int, *, final: bool, grace: timedelta = timedelta()) -> RedemptionOutcome:
        """Spend what is held, soonest to expire first."""
        hold = self._touched(number)
        if hold.timed_out:
            return self._capture_late(hold, points, final=final, grace=grace)
        if hold.closed:
            return RedemptionOutcome.FULLY_CAPTURED if hold.captured else RedemptionOutcome.ALREADY_VOIDED
        held = sum(hold.held.values())
        points = points or held
        if points > held:
            return RedemptionOutcome.CAPTURE_EXCEEDS_AUTHORIZED
        for lot, part in move(hold.held, points):
            hold.spent[lot] += part
        hold.captured += points
        if final or points == held:
            self._fill_budgets(self._release(hold, self.today))
            hold.ended_by_capture = True
        return RedemptionOutcome.DONE

    def _capture_late(self, hold: Hold, points: int, *, final: bool, grace: timedelta) -> RedemptionOutcome:
        """Spend what the customer has, if that is enough, once for good."""
        customer, left = self.survivor(hold.customer), hold.authorized - hold.captured
        points = points or left
        if hold.ended_by_capture:
            return RedemptionOutcome.FULLY_CAPTURED
        if self.now >= hold.deadline + grace:
            return RedemptionOutcome.AUTHORIZATION_EXPIRED
        if hold.voided_late:
            return RedemptionOutcome.ALREADY_VOIDED
        if points > left:
            return RedemptionOutcome.CAPTURE_EXCEEDS_AUTHORIZED
        owes = any(spent and self.short[customer, key[2]] for key, spent in hold.spent.items())
        if owes or points > self.spendable(customer):
            return RedemptionOutcome.POINTS_GONE
        for lot, part in move(self.wallets[customer], points):
            hold.spent[lot] += part
        hold.captured += points
        hold.captured_late += points
        hold.ended_by_capture = final or points == left
        return RedemptionOutcome.DONE

    def void(self, number: int) -> tuple[RedemptionOutcome, bool]:
        """Give back what is held; the flag says that it had been done."""
        hold = self._touched(number)
        if hold.timed_out:
            hold.voided_late = not hold.captured_late
            return (RedemptionOutcome.FULLY_CAPTURED, False) if hold.captured_late else (RedemptionOutcome.DONE, True)
        if hold.closed:
            return (RedemptionOutcome.FULLY_CAPTURED, False) if hold.ended_by_capture else (RedemptionOutcome.DONE, True)
        self._fill_budgets(self._release(hold, self.today))
        return RedemptionOutcome.DONE, False

    def refund(self, number: int, points: int) -> RedemptionOutcome:
        """Give back what was spent, latest to expire first."""
        hold = self._touched(number)
        spent = hold.captured - hold.refunded
        points = points or spent
        if not spent or points > spent:
            return RedemptionOutcome.REFUND_EXCEEDS_CAPTURED
        for lot, part in move(hold.spent, points, latest_first=True):
            self._fill_budgets([self._give_back(hold, lot, part, self.today)])
        hold.refunded += points
        return RedemptionOutcome.DONE
