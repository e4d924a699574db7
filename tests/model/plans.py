"""Random plans, and the acts they are when they are carried out: by then it is known who was merged and what is held."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from ledger import AccountClass, Book, Grade, GrantOrder, GrantOutcome, PointValue
from ledger.testing import adjust, authorize, capture, claw_back, fund, refund, returned, void
from tests.model.acts import (
    Act,
    Adjusting,
    ClawingBack,
    Funding,
    Granting,
    Merging,
    Redeeming,
    Returning,
    Settling,
    Splitting,
    Sweeping,
)
from tests.model.plain_ledger import PlainLedger
from tests.model.reports import CAMPAIGNS, CUSTOMERS, customers, last_day, order_of, reports
from tests.model.world import World

DAY_S = 86_400

some_points = st.sampled_from([0, 1, 7, 15, 30, 45, 80])
which_ones = st.integers(0, 10**6)
batches = st.lists(reports, min_size=1, max_size=6)
grades = st.lists(st.sampled_from(Grade), min_size=2, max_size=5)
UNTIL_MIDNIGHT = -1
holds_s = st.sampled_from([0, 1, 3600, DAY_S, 7 * DAY_S, 30 * DAY_S, UNTIL_MIDNIGHT, UNTIL_MIDNIGHT])
graces_s = st.sampled_from([0, DAY_S, 10 * DAY_S, 40 * DAY_S])
lifetimes = st.sampled_from(["a day", "next month", "for ever", "no longer"])

GRANT = st.tuples(st.just("grant"), batches)
FUND = st.tuples(st.just("fund"), st.sampled_from(CAMPAIGNS), st.sampled_from([1, 10, 50, 600]))
MERGE = st.tuples(st.just("merge"), customers, customers)
SPLIT = st.tuples(st.just("split"), st.integers(0, 10**6), customers, st.sampled_from([True, True, True, False]))
SETTLE = st.tuples(st.just("settle"), which_ones, st.booleans(), lifetimes)
CLAW_BACK = st.tuples(st.just("claw back"), which_ones, st.sampled_from([None, None, None, 1, 5, 10, 30, 50]))
RETURN = st.tuples(
    st.just("return"),
    which_ones,
    st.sampled_from([None, 7, 10, 40, 100]),
    st.sampled_from([None, PointValue(2, 1), PointValue(2, 1), PointValue(1, 9)]),
    st.sampled_from([None, None, None, "once"]),
)
ADJUST = st.tuples(
    st.just("adjust"),
    customers,
    st.sampled_from([5, 20, 60, -1, -10, -45]),
    st.sampled_from(CAMPAIGNS),
    lifetimes,
    st.sampled_from(AccountClass),
)
SWEEP = st.tuples(st.just("sweep"), st.integers(1, 4))
AUTHORIZE = st.tuples(st.just("authorize"), customers, st.sampled_from([1, 30, 50, 70, 90, 110, 150]), holds_s, st.booleans())
CAPTURE = st.tuples(st.just("capture"), which_ones, some_points, st.booleans(), graces_s)
VOID = st.tuples(st.just("void"), which_ones)
REFUND = st.tuples(st.just("refund"), which_ones, some_points)
SEVERAL = st.lists(
    st.one_of(
        GRANT, GRANT, GRANT, MERGE, SPLIT, SETTLE, CLAW_BACK, RETURN, ADJUST, SWEEP, AUTHORIZE, CAPTURE, VOID, REFUND, FUND
    ),
    min_size=2,
    max_size=4,
)

Plan = tuple[Any, ...]
Thing = TypeVar("Thing")

_numbers = itertools.count(1)


def act_of(plan: Plan, world: World, book: Book, plain: PlainLedger) -> Act | None:
    """What the plan comes to now. ``None``: there is nothing to do it with."""
    match plan:
        case "grant", batch:
            return Granting(tuple(order_of(book, plain, report, next(_numbers)) for report in batch))
        case "fund", campaign_no, points:
            return Funding(fund(book, points, campaign_no=campaign_no))
        case "merge", loser, survivor:
            return None if loser == survivor else Merging(book, loser, survivor)
        case "split", which, customer, is_part:
            return _splitting(book, plain, which, None if is_part else customer)
        case "settle", which, matures, lasts:
            return _settling(book, plain, which, last_day(lasts, plain.today) if matures else None, matures=matures)
        case "claw back", which, points:
            return _clawing_back(plain, which, points)
        case "return", which, amount, value, reference:
            return _returning(plain, which, amount, value, reference)
        case "adjust", customer, points, campaign_no, lasts, account_class:
            expires_on = last_day(lasts, plain.today)
            return Adjusting(
                adjust(book, customer, points, campaign_no=campaign_no, expires_on=expires_on, account_class=account_class)
            )
        case "sweep", limit:
            return Sweeping(world.worker_pool, book, limit)
        case "authorize", customer, points, hold_s, captures:
            if hold_s == UNTIL_MIDNIGHT:
                hold_s = int((plain.next_midnight - plain.now).total_seconds())
            return Redeeming(authorize(book, customer, points, hold_s=max(hold_s, 1 * captures), capture=captures))
        case operation, which, *how:
            number = _recent(list(plain.holds), which)
            if number is None:
                return None
            match operation, *how:
                case "capture", points, final, grace_s:
                    return Redeeming(capture(book, number, points, final=final, grace_s=grace_s))
                case "refund", points:
                    return Redeeming(refund(book, number, points))
                case _:
                    return Redeeming(void(book, number))
        case _:
            raise ValueError(plan)


def customers_of(plan: Plan) -> set[int]:
    """Whom it names."""
    match plan:
        case "grant", batch:
            return {report.customer for report in batch}
        case "merge", *both:
            return set(both)
        case (("authorize" | "adjust"), customer, *_):
            return {customer}
        case _:
            return set()


def _splitting(book: Book, plain: PlainLedger, which: int, survivor: int | None) -> Act | None:
    """Somebody out of whom she is part of; or, where a survivor is said, out of her, whether she is part of her or not."""
    if survivor is not None:
        return Splitting(book, CUSTOMERS[which % len(CUSTOMERS)], survivor)
    merged = sorted(plain.survivors)
    part = merged[which % len(merged)] if merged else 0
    return Splitting(book, part, plain.survivors[part]) if merged else None


def _settling(book: Book, plain: PlainLedger, which: int, expires_on: date | None, *, matures: bool) -> Act | None:
    events = list(plain.events.items())
    held_back = [(key, event) for key, event in events if event.outcome is GrantOutcome.HELD_BACK]
    # Now and then also what cannot be settled.
    found = _recent(held_back if held_back and which % 5 else events, which)
    return found and Settling(book, found[1].order.terms.campaign_no, found[0], matures, expires_on)


def _clawing_back(plain: PlainLedger, which: int, points: int | None) -> Act | None:
    found = _paid(plain, which)
    return found and ClawingBack(msgspec.structs.replace(claw_back(found[1], points), event_key=found[0]))


def _returning(
    plain: PlainLedger, which: int, amount: int | None, value: PointValue | None, reference: str | None
) -> Act | None:
    """Everything was bought, a point for every three minor units, and mostly some of them more."""
    found = _paid(plain, which)
    if found is None:
        return None
    key, order = found
    bought = order.terms.points * 3 + key[0] % 3
    amount = amount or max(bought - plain.returned[key], 1)
    asked = returned(order, amount, bought=bought, per=(1, 3), value=value, reference=reference)
    return Returning(msgspec.structs.replace(asked, event_key=key))


def _paid(plain: PlainLedger, which: int) -> tuple[bytes, GrantOrder] | None:
    events = list(plain.events.items())
    # Mostly what somebody has set aside or spent; nearly always what was granted, whenever that was.
    granted = [(key, event) for key, event in events if event.paid]
    away = [(key, event) for key, event in granted if plain.is_away(key)]
    found = [events, granted, away, away, away][which % 5] or granted or events
    if not found:
        return None
    key, event = found[which // 5 % len(found)]
    return key, event.order


def _recent(things: Sequence[Thing], which: int) -> Thing | None:
    """One of the last few, if there is any: recent ones are more often open."""
    return things[-1 - which % min(len(things), 4)] if things else None
