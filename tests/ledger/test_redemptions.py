"""Redemptions: what a till may do with a customer's points, what it is answered, and what she has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from ledger import (
    AccountClass,
    Book,
    BookRefused,
    DataRefused,
    Ledger,
    Operation,
    Redeem,
    Redemption,
    RedemptionFilter,
    RedemptionLot,
    RedemptionOperation,
    RedemptionOutcome,
    RedemptionResult,
    RedemptionStatus,
    Sweeper,
    sweep,
)
from ledger.reads import redemptions
from ledger.testing import NOON, authorize, capture, fund, order, refund, set_clock, void
from tests.ledger.conftest import make_book, spendable, written

DONE = RedemptionOutcome.DONE
CUSTOMER = 7
DAY_S = 86_400

SOON, LATER, NEVER = date(2030, 1, 31), date(2030, 3, 31), None
WALLET = ((SOON, 10), (LATER, 20), (NEVER, 30))


async def earn(ledger: Ledger, book: Book, customer: int, *lots: tuple[date | None, int]) -> None:
    """Give a customer lots."""
    await ledger.fund(fund(book, 10_000))
    await ledger.grant_batch(
        [
            order(book, customer=customer, message_id=f"lot-{n}", points=points, expires_on=expires_on)
            for n, (expires_on, points) in enumerate(lots)
        ]
    )


async def redeemed(ledger: Ledger, step: Redeem) -> Redemption:
    """Take a step that must succeed."""
    result = await ledger.redeem(step)
    assert result.outcome is DONE
    assert result.redemption is not None
    return result.redemption


# ---- Stories: what happens, step by step, to a wallet of three lots, of which one dies on the way


class After(NamedTuple):
    """A step and what is so after it.

    ``sums`` are the points authorized, captured, released and refunded; ``wallet`` the customer's lots by last day.
    """

    step: str
    answer: str
    sums: tuple[int, int, int, int]
    wallet: str


START = "01-31:10 03-31:20 never:30"

STORIES: dict[str, list[After]] = {
    "captured in two parts, refunded bit by bit, a lot died meanwhile": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("capture 12, more to come", "partially_captured", (35, 12, 0, 0), "never:25"),
        After("clock 02-05", "partially_captured", (35, 12, 0, 0), "never:25"),
        After("capture 24", "CAPTURE_EXCEEDS_AUTHORIZED", (35, 12, 0, 0), "never:25"),
        After("capture 8", "captured", (35, 20, 15, 0), "03-31:10 never:30"),
        After("capture 1", "FULLY_CAPTURED", (35, 20, 15, 0), "03-31:10 never:30"),
        After("refund 5", "partially_refunded", (35, 20, 15, 5), "03-31:15 never:30"),
        After("refund 7", "partially_refunded", (35, 20, 15, 12), "03-07:2 03-31:20 never:30"),
        After("refund 9", "REFUND_EXCEEDS_CAPTURED", (35, 20, 15, 12), "03-07:2 03-31:20 never:30"),
        After("refund 8", "refunded", (35, 20, 15, 20), "03-07:10 03-31:20 never:30"),
        After("refund all", "REFUND_EXCEEDS_CAPTURED", (35, 20, 15, 20), "03-07:10 03-31:20 never:30"),
        After("void", "FULLY_CAPTURED", (35, 20, 15, 20), "03-07:10 03-31:20 never:30"),
        After("clock 03-07", "refunded", (35, 20, 15, 20), "03-07:10 03-31:20 never:30"),
        After("clock 03-08", "refunded", (35, 20, 15, 20), "03-31:20 never:30"),
    ],
    "captured whole at the end": [
        After("authorize 60", "authorized", (60, 0, 0, 0), ""),
        After("authorize 1 more", "INSUFFICIENT_BALANCE", (60, 0, 0, 0), ""),
        After("capture all", "captured", (60, 60, 0, 0), ""),
        After("capture all", "FULLY_CAPTURED", (60, 60, 0, 0), ""),
        After("refund all", "refunded", (60, 60, 0, 60), START),
    ],
    "captured in parts until nothing is held": [
        After("authorize 12", "authorized", (12, 0, 0, 0), "03-31:18 never:30"),
        After("capture 5, more to come", "partially_captured", (12, 5, 0, 0), "03-31:18 never:30"),
        After("capture 7, more to come", "captured", (12, 12, 0, 0), "03-31:18 never:30"),
        After("capture 1, more to come", "FULLY_CAPTURED", (12, 12, 0, 0), "03-31:18 never:30"),
    ],
    "captured and refunded while more may come": [
        After("authorize 12", "authorized", (12, 0, 0, 0), "03-31:18 never:30"),
        After("capture 5, more to come", "partially_captured", (12, 5, 0, 0), "03-31:18 never:30"),
        After("refund 5", "partially_refunded", (12, 5, 0, 5), "01-31:5 03-31:18 never:30"),
        After("refund 1", "REFUND_EXCEEDS_CAPTURED", (12, 5, 0, 5), "01-31:5 03-31:18 never:30"),
        After("capture 7", "partially_refunded", (12, 12, 0, 5), "01-31:5 03-31:18 never:30"),
        After("refund 7", "refunded", (12, 12, 0, 12), "01-31:10 03-31:20 never:30"),
    ],
    "voided at once": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("void", "voided", (35, 0, 35, 0), START),
        After("void", "voided", (35, 0, 35, 0), START),
        After("capture 1", "ALREADY_VOIDED", (35, 0, 35, 0), START),
        After("refund 1", "REFUND_EXCEEDS_CAPTURED", (35, 0, 35, 0), START),
    ],
    "voided after a lot died": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 02-05", "authorized", (35, 0, 0, 0), "never:25"),
        After("void", "voided", (35, 0, 35, 0), "03-07:10 03-31:20 never:30"),
    ],
    "voided after a part was captured": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("capture 12, more to come", "partially_captured", (35, 12, 0, 0), "never:25"),
        After("void", "captured", (35, 12, 23, 0), "03-31:18 never:30"),
        After("refund all", "refunded", (35, 12, 23, 12), START),
    ],
    "what is not held dies in its lot": [
        After("authorize 4", "authorized", (4, 0, 0, 0), "01-31:6 03-31:20 never:30"),
        After("clock 02-01", "authorized", (4, 0, 0, 0), "03-31:20 never:30"),
        After("void", "voided", (4, 0, 4, 0), "03-03:4 03-31:20 never:30"),
    ],
    "timed out before the lot dies": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 01-20", "expired", (35, 0, 35, 0), START),
        After("capture 1", "AUTHORIZATION_EXPIRED", (35, 0, 35, 0), START),
        After("void", "expired", (35, 0, 35, 0), START),
    ],
    "timed out before the lot dies, looked at after": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 02-01", "expired", (35, 0, 35, 0), "03-31:20 never:30"),
    ],
    "timed out after the lot died: a grace from the deadline": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 02-20", "expired", (35, 0, 35, 0), "03-16:10 03-31:20 never:30"),
        After("clock 03-16", "expired", (35, 0, 35, 0), "03-16:10 03-31:20 never:30"),
        After("clock 03-17", "expired", (35, 0, 35, 0), "03-31:20 never:30"),
    ],
    "timed out after the lot died, looked at when the grace is over": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 03-17", "expired", (35, 0, 35, 0), "03-31:20 never:30"),
    ],
    "timed out after a part was captured": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("capture 12, more to come", "partially_captured", (35, 12, 0, 0), "never:25"),
        After("clock 03-02", "captured", (35, 12, 23, 0), "03-31:18 never:30"),
        After("capture 1", "AUTHORIZATION_EXPIRED", (35, 12, 23, 0), "03-31:18 never:30"),
        After("refund all", "refunded", (35, 12, 23, 12), "03-31:20 04-01:10 never:30"),
    ],
    "captured late, and refunded like any other": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 01-20", "expired", (35, 0, 35, 0), START),
        After("capture 36 within 9 days", "CAPTURE_EXCEEDS_AUTHORIZED", (35, 0, 35, 0), START),
        After("capture 20 within 9 days", "captured", (35, 20, 15, 0), "03-31:10 never:30"),
        After("capture 1 within 9 days", "FULLY_CAPTURED", (35, 20, 15, 0), "03-31:10 never:30"),
        After("void", "FULLY_CAPTURED", (35, 20, 15, 0), "03-31:10 never:30"),
        After("refund 5", "partially_refunded", (35, 20, 15, 5), "03-31:15 never:30"),
        After("refund all", "refunded", (35, 20, 15, 20), START),
        After("capture 1 within 9 days", "FULLY_CAPTURED", (35, 20, 15, 20), START),
    ],
    "captured late in parts": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("capture 5, more to come", "partially_captured", (35, 5, 0, 0), "never:25"),
        After("clock 01-20", "captured", (35, 5, 30, 0), "01-31:5 03-31:20 never:30"),
        After("capture 12, more to come, within 9 days", "captured", (35, 17, 18, 0), "03-31:13 never:30"),
        After("void", "FULLY_CAPTURED", (35, 17, 18, 0), "03-31:13 never:30"),
        After("capture 19 within 9 days", "CAPTURE_EXCEEDS_AUTHORIZED", (35, 17, 18, 0), "03-31:13 never:30"),
        After("capture 18, more to come, within 9 days", "captured", (35, 35, 0, 0), "never:25"),
        After("capture 1 within 9 days", "FULLY_CAPTURED", (35, 35, 0, 0), "never:25"),
    ],
    "captured late of what came back to a grace": [
        After("authorize 35", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 02-20", "expired", (35, 0, 35, 0), "03-16:10 03-31:20 never:30"),
        After("capture all within 9 days", "captured", (35, 35, 0, 0), "never:25"),
        After("refund all", "refunded", (35, 35, 0, 35), "03-16:10 03-31:20 never:30"),
    ],
    "captured late when a lot has died: of what lives": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 02-01", "expired", (35, 0, 35, 0), "03-31:20 never:30"),
        After("capture all within 20 days", "captured", (35, 35, 0, 0), "never:15"),
        After("refund all", "refunded", (35, 35, 0, 35), "03-31:20 never:30"),
    ],
    "captured late, and too little lives": [
        After("authorize 60 for 5 days", "authorized", (60, 0, 0, 0), ""),
        After("clock 02-01", "expired", (60, 0, 60, 0), "03-31:20 never:30"),
        After("capture all within 20 days", "POINTS_GONE", (60, 0, 60, 0), "03-31:20 never:30"),
        After("capture 50 within 20 days", "captured", (60, 50, 10, 0), ""),
    ],
    "captured too late": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 01-29", "expired", (35, 0, 35, 0), START),
        After("capture 1 within 9 days", "AUTHORIZATION_EXPIRED", (35, 0, 35, 0), START),
        After("capture 1 within 10 days", "captured", (35, 1, 34, 0), "01-31:9 03-31:20 never:30"),
    ],
    "captured after somebody voided what had timed out": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("clock 01-20", "expired", (35, 0, 35, 0), START),
        After("void", "expired", (35, 0, 35, 0), START),
        After("capture all within 9 days", "ALREADY_VOIDED", (35, 0, 35, 0), START),
        After("void", "expired", (35, 0, 35, 0), START),
    ],
    "voided in time, and captured late": [
        After("authorize 35 for 5 days", "authorized", (35, 0, 0, 0), "never:25"),
        After("void", "voided", (35, 0, 35, 0), START),
        After("clock 01-20", "voided", (35, 0, 35, 0), START),
        After("capture all within 9 days", "ALREADY_VOIDED", (35, 0, 35, 0), START),
    ],
    "captured at once": [
        After("authorize 35 and capture", "captured", (35, 35, 0, 0), "never:25"),
        After("capture 1", "FULLY_CAPTURED", (35, 35, 0, 0), "never:25"),
        After("void", "FULLY_CAPTURED", (35, 35, 0, 0), "never:25"),
        After("refund 6", "partially_refunded", (35, 35, 0, 6), "03-31:1 never:30"),
    ],
    "held for no time": [
        After("authorize 35 for 0 days", "expired", (35, 0, 35, 0), START),
        After("capture 1", "AUTHORIZATION_EXPIRED", (35, 0, 35, 0), START),
    ],
    "captured at once with a hold of no time": [
        After("authorize 35 for 0 days and capture", "captured", (35, 35, 0, 0), "never:25"),
        After("refund 5", "partially_refunded", (35, 35, 0, 5), "never:30"),
    ],
}


@pytest.mark.parametrize("sweeps", [False, True], ids=["the sweeper is late", "the sweeper is prompt"])
@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
async def test_a_redemptions_story(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    book: Book,
    story: list[After],
    sweeps: bool,
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    redemption_id = 0
    for step, answer, sums, wallet in story:
        verb, _, rest = step.partition(" ")
        if verb == "clock":
            await set_clock(owner, book, datetime.fromisoformat(f"2030-{rest}T12:00:00Z"))
            while sweeps and await sweep(worker_pool, book):
                pass
        else:
            result = await ledger.redeem(step_of(book, redemption_id, verb, rest))
            assert answer == (result.redemption.status if result.outcome is DONE and result.redemption else result.outcome.name)
            if result.redemption and not redemption_id:
                redemption_id = result.redemption.redemption
            if result.redemption:
                assert result.redemption == await ledger.redemption(book, redemption_id)
        balance = await ledger.balance(book, CUSTOMER)
        redemption = await ledger.redemption(book, redemption_id)
        assert redemption is not None
        assert (redemption.authorized, redemption.captured, redemption.released, redemption.refunded) == sums
        assert answer in (redemption.status, answer.upper())
        assert wallet == " ".join(
            f"{lot.expires_on.strftime('%m-%d') if lot.expires_on else 'never'}:{lot.points}" for lot in balance.lots
        )
        assert redemption.balance == balance.spendable
        assert balance.held == redemption.authorized - redemption.captured - redemption.released
        for at_lots, in_all in (("held", balance.held), ("captured", sums[1]), ("refunded", sums[3])):
            assert sum(getattr(lot, at_lots) for lot in redemption.lots) == in_all


def step_of(book: Book, redemption: int, verb: str, rest: str) -> Redeem:
    """The step that a story's words ask for."""
    points = int(rest.replace(",", "").split()[0]) if rest[:1].isdigit() else 0
    if verb == "authorize":
        days = int(rest.partition(" for ")[2].split()[0]) if " for " in rest else 30
        return authorize(book, CUSTOMER, points, hold_s=days * DAY_S, capture="capture" in rest)
    if verb == "capture":
        days = int(rest.partition(" within ")[2].split()[0]) if " within " in rest else 0
        return capture(book, redemption, points, final="more to come" not in rest, grace_s=days * DAY_S)
    return refund(book, redemption, points) if verb == "refund" else void(book, redemption)


async def test_a_redemption_shows_its_history_and_the_lots_it_came_from(ledger: Ledger, owner: Any, book: Book) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    held = await redeemed(ledger, authorize(book, CUSTOMER, 35, order_ref="order-9", value=3500, hold_s=60))
    assert (held.order_ref, held.value, held.store_id, held.terminal_id) == ("order-9", 3500, None, None)
    assert held.expires_at == NOON + timedelta(seconds=60)
    await redeemed(ledger, capture(book, held.redemption, 12, final=False))
    await set_clock(owner, book, NOON + timedelta(seconds=30))
    await redeemed(ledger, capture(book, held.redemption, 8))
    end = await redeemed(ledger, refund(book, held.redemption, 11))
    operations = [(operation.verb, operation.points, operation.seq) for operation in end.operations]
    first = held.redemption
    assert operations == [
        ("authorize", 35, first),
        ("capture", 12, first + 3),
        ("capture", 8, first + 5),
        ("void", 15, first + 6),
        ("refund", 11, first + 8),
    ]
    assert end.operations[1] == RedemptionOperation("capture", 12, NOON, first + 3)
    assert end.operations[2].posted_at == NOON + timedelta(seconds=30)
    assert end.lots == (
        RedemptionLot(AccountClass.ENGAGEMENT, SOON, held=0, captured=10, refunded=1),
        RedemptionLot(AccountClass.ENGAGEMENT, LATER, held=0, captured=10, refunded=10),
        RedemptionLot(AccountClass.ENGAGEMENT, NEVER, held=0, captured=0, refunded=0),
    )


async def test_points_of_different_classes_keep_their_class_all_the_way(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    for n, account_class in enumerate(AccountClass):
        await ledger.grant(order(book, message_id=f"{n}", points=10, account_class=account_class, expires_on=LATER))
    before = await ledger.balance(book, CUSTOMER)
    spent = await redeemed(ledger, authorize(book, CUSTOMER, 25, capture=True))
    assert [(lot.account_class, lot.captured) for lot in spent.lots] == [
        (AccountClass.ENGAGEMENT, 10),
        (AccountClass.PURCHASE, 10),
        (AccountClass.THIRD_PARTY, 5),
    ]
    await redeemed(ledger, refund(book, spent.redemption))
    assert (await ledger.balance(book, CUSTOMER)).lots == before.lots


async def test_the_statement_shows_holds_releases_refunds_and_expiry_but_no_captures(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, (SOON, 10), (NEVER, 5))
    held = await redeemed(ledger, authorize(book, CUSTOMER, 6))
    await redeemed(ledger, capture(book, held.redemption, 4))
    await redeemed(ledger, refund(book, held.redemption, 1))
    await set_clock(owner, book, datetime(2030, 2, 2, tzinfo=UTC))
    await sweep(worker_pool, book)
    statement = [(entry.verb, entry.points, entry.redemption) for entry in await ledger.statement(book, CUSTOMER)]
    own = held.redemption
    assert statement == [
        ("expire", -7, None),
        ("refund", 1, own),
        ("void", 2, own),
        ("authorize", -6, own),
        ("grant", 5, None),
        ("grant", 10, None),
    ]


async def test_captures_and_refunds_keep_what_is_said_about_them(ledger: Ledger, book: Book) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    held = await redeemed(ledger, authorize(book, CUSTOMER, 45))
    await redeemed(ledger, capture(book, held.redemption, 20, final=False, ref="invoice-1", store_id="s-1", terminal_id="t-1"))
    await redeemed(ledger, capture(book, held.redemption, 15, ref="invoice-2"))
    step = refund(book, held.redemption, 12, key="refund", ref="credit-note-1", store_id="s-2")
    first = await ledger.redeem(step)
    assert await ledger.redeem(step) == RedemptionResult(DONE, True, first.balance, first.redemption)
    last = await redeemed(ledger, refund(book, held.redemption))
    said = [(each.verb, each.points, each.ref, each.store_id, each.terminal_id) for each in last.operations]
    assert said == [
        ("authorize", 45, None, None, None),
        ("capture", 20, "invoice-1", "s-1", "t-1"),
        ("capture", 15, "invoice-2", None, None),
        ("void", 10, None, None, None),
        ("refund", 12, "credit-note-1", "s-2", None),
        ("refund", 23, None, None, None),
    ]
    assert last == await ledger.redemption(book, held.redemption)


async def test_what_is_said_about_a_step_that_is_refused_is_not_kept(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    held = await redeemed(ledger, authorize(book, CUSTOMER, 10))
    refused = await ledger.redeem(refund(book, held.redemption, 1, ref="too early"))
    assert refused.outcome is RedemptionOutcome.REFUND_EXCEEDS_CAPTURED
    assert (await ledger.redeem(capture(book, held.redemption, 11, ref="too much"))).outcome is not DONE
    assert await owner.fetchval("SELECT count(*) FROM ledger.redemption_step") == 0


# ---- Time: the last instant of a day in the book's zone, and of a hold


ZONES = ["Asia/Kolkata", "America/Los_Angeles", "Pacific/Kiritimati", "UTC"]


@pytest.mark.parametrize("zone", ZONES)
async def test_points_can_be_spent_to_the_last_instant_of_their_last_day_and_not_after(
    ledger: Ledger, owner: asyncpg.Connection[Any], zone: str
) -> None:
    book = await make_book(owner, time_zone=zone)
    await earn(ledger, book, CUSTOMER, (SOON, 10))
    midnight = datetime(2030, 2, 1, tzinfo=ZoneInfo(zone))

    await set_clock(owner, book, (midnight - timedelta(microseconds=1)).astimezone(UTC))
    assert await spendable(ledger, book, CUSTOMER) == 10
    await redeemed(ledger, authorize(book, CUSTOMER, 4, capture=True))
    assert (await ledger.grant(order(book, message_id="before", points=1))).balance == 7

    await set_clock(owner, book, midnight.astimezone(UTC))
    assert await spendable(ledger, book, CUSTOMER) == 1
    refused = await ledger.redeem(authorize(book, CUSTOMER, 2))
    assert (refused.outcome, refused.balance) == (RedemptionOutcome.INSUFFICIENT_BALANCE, 1)
    assert (await ledger.grant(order(book, message_id="after", points=1))).balance == 2


async def test_a_hold_can_be_captured_until_the_instant_before_its_deadline(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, (NEVER, 10))
    first = await redeemed(ledger, authorize(book, CUSTOMER, 5, hold_s=600))
    second = await redeemed(ledger, authorize(book, CUSTOMER, 5, hold_s=600))
    deadline = NOON + timedelta(seconds=600)
    await set_clock(owner, book, deadline - timedelta(microseconds=1))
    await redeemed(ledger, capture(book, first.redemption))
    await set_clock(owner, book, deadline)
    late = await ledger.redeem(capture(book, second.redemption))
    assert late.outcome is RedemptionOutcome.AUTHORIZATION_EXPIRED
    assert await spendable(ledger, book, CUSTOMER) == 5


async def test_what_is_due_is_posted_before_a_debit_in_the_same_call(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, (SOON, 10), (NEVER, 10))
    await redeemed(ledger, authorize(book, CUSTOMER, 20, hold_s=600))
    await set_clock(owner, book, datetime(2030, 2, 2, tzinfo=UTC))
    head = await ledger.head(book)
    await redeemed(ledger, authorize(book, CUSTOMER, 10, capture=True))
    posted = await ledger.transfers(book, after=head.seq, cut=(await ledger.head(book)).seq)
    assert [(transfer.verb.name, transfer.amount) for transfer in posted] == [
        ("TIME_OUT", 10),
        ("TIME_OUT", 10),
        ("EXPIRE", 10),
        ("AUTHORIZE", 10),
        ("CAPTURE", 10),
    ]


async def test_the_sweeper_takes_at_most_as_many_wallets_as_it_is_told(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 10_000))
    await ledger.grant_batch([order(book, customer=customer, points=10, expires_on=SOON) for customer in range(5)])
    for customer in range(3):
        await redeemed(ledger, authorize(book, customer, 4))
    assert await sweep(worker_pool, book) == 0
    await set_clock(owner, book, datetime(2030, 2, 2, tzinfo=UTC))
    swept = [await sweep(worker_pool, book, limit=2) for _ in range(5)]
    assert swept == [2, 1, 2, 0, 0]
    assert [await spendable(ledger, book, customer) for customer in range(5)] == [0] * 5
    before = await written(owner)
    assert await sweep(worker_pool, book) == 0
    assert await written(owner) == before


async def test_a_sweeper_walks_through_the_wallets_once_and_nothing_dies_behind_its_back(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    worker_pool: asyncpg.Pool[Any],
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ledger.engine.sweeping.WALLETS_AT_ONCE", 3)
    await ledger.fund(fund(book, 10_000))
    dying = [order(book, customer=customer, points=10, expires_on=SOON) for customer in range(7)]
    await ledger.grant_batch([*dying, order(book, customer=7, points=10, expires_on=NEVER)])
    await set_clock(owner, book, datetime(2030, 2, 2, tzinfo=UTC))
    sweeper = Sweeper(worker_pool, book)
    assert await sweeper.run_once(limit=2) == 2
    # Behind the walk, to last as long as others that are dead already.
    await ledger.grant(order(book, customer=0, message_id="late", points=5, expires_on=SOON))
    assert [await sweeper.run_once(limit=2) for _ in range(6)] == [1, 2, 1, 1, 0, 0]
    assert [await spendable(ledger, book, customer) for customer in range(8)] == [5] + [0] * 6 + [10]
    swept_through = "SELECT swept_through FROM ledger.head WHERE book_id = $1"
    assert await owner.fetchval(swept_through, book.book_id) == date(2030, 2, 1)
    before = await written(owner)
    assert await sweeper.run_once(limit=2) == 0
    assert await written(owner) == before


# ---- Idempotency keys


async def every_step(ledger: Ledger, book: Book) -> list[Redeem]:
    """One step of each operation that succeeds, in order."""
    held = await redeemed(ledger, authorize(book, CUSTOMER, 10, key="authorize"))
    steps = [authorize(book, CUSTOMER, 10, key="authorize"), capture(book, held.redemption, 6, key="capture")]
    return [*steps, refund(book, held.redemption, 4, key="refund")]


async def test_a_step_with_a_used_key_gets_the_first_answer_to_the_letter_and_writes_nothing(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    steps = await every_step(ledger, book)
    answers = [await ledger.redeem(step) for step in steps]
    assert [answer.replayed for answer in answers] == [True, False, False]
    await ledger.grant(order(book, message_id="more", points=1000))
    await set_clock(owner, book, datetime(2030, 2, 2, tzinfo=UTC))
    before = await written(owner)
    for step, answer in zip(steps, answers, strict=True):
        again = await ledger.redeem(step)
        assert again.replayed
        assert (again.outcome, again.balance, again.redemption) == (answer.outcome, answer.balance, answer.redemption)
    assert await written(owner) == before


StepOf = Callable[[Book, int], Redeem]
"""Makes a step for a book and a redemption in it."""

REFUSED_STEPS: list[tuple[StepOf, RedemptionOutcome]] = [
    (lambda book, _: authorize(book, CUSTOMER, 51, key="k"), RedemptionOutcome.INSUFFICIENT_BALANCE),
    (lambda book, held: capture(book, held, 11, key="k"), RedemptionOutcome.CAPTURE_EXCEEDS_AUTHORIZED),
    (lambda book, held: refund(book, held, 1, key="k"), RedemptionOutcome.REFUND_EXCEEDS_CAPTURED),
]


@pytest.mark.parametrize(("step", "outcome"), REFUSED_STEPS, ids=["authorize", "capture", "refund"])
async def test_a_refusal_is_kept_under_its_key_even_when_it_would_now_succeed(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, step: StepOf, outcome: RedemptionOutcome
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    held = await redeemed(ledger, authorize(book, CUSTOMER, 10))
    refused = await ledger.redeem(step(book, held.redemption))
    assert (refused.outcome, refused.replayed, refused.balance) == (outcome, False, 50)

    await ledger.grant(order(book, message_id="more", points=1000))
    await redeemed(ledger, capture(book, held.redemption, 10))
    before = await written(owner)
    again = await ledger.redeem(step(book, held.redemption))
    assert (again.outcome, again.replayed, again.balance) == (outcome, True, 50)
    assert again.redemption == refused.redemption
    assert await written(owner) == before


async def test_a_key_that_was_used_for_another_request_is_refused_and_nothing_is_written(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    for step in await every_step(ledger, book):
        await ledger.redeem(step)
    before = await written(owner)
    for step in (
        authorize(book, CUSTOMER, 11, key="authorize"),
        authorize(book, 8, 10, key="authorize"),
        capture(book, 5, 7, key="capture"),
        refund(book, 5, 5, key="refund"),
    ):
        answer = await ledger.redeem(step)
        assert (answer.outcome, answer.replayed, answer.redemption) == (
            RedemptionOutcome.IDEMPOTENCY_KEY_REUSED,
            False,
            None,
        )
    assert await written(owner) == before


async def test_a_key_belongs_to_one_operation_and_one_book(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    other = await make_book(owner, brand_id=2)
    for each in (book, other):
        await earn(ledger, each, CUSTOMER, *WALLET)
        held = await redeemed(ledger, authorize(each, CUSTOMER, 10, key="same"))
        await redeemed(ledger, capture(each, held.redemption, 5, key="same"))
        await redeemed(ledger, refund(each, held.redemption, 5, key="same"))
        await ledger.fund(fund(each, 5, key="same"))


async def test_what_is_not_found_or_moved_is_not_kept_under_the_key(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    await owner.execute("UPDATE ledger.customer_state SET frozen = true WHERE customer = $1", CUSTOMER)
    moved = await ledger.redeem(authorize(book, CUSTOMER, 10, key="k"))
    assert (moved.outcome, moved.redemption) == (RedemptionOutcome.STALE_CUSTOMER, None)
    await owner.execute("UPDATE ledger.customer_state SET frozen = false WHERE customer = $1", CUSTOMER)
    held = await redeemed(ledger, authorize(book, CUSTOMER, 10, key="k"))

    missing = await ledger.redeem(capture(book, held.redemption + 1000, key="c"))
    assert missing.outcome is RedemptionOutcome.NOT_FOUND
    await redeemed(ledger, capture(book, held.redemption, key="c"))


@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.VOID, Operation.REFUND], ids=lambda each: each.name.lower())
async def test_another_books_redemption_is_not_found(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, operation: Operation
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    held = await redeemed(ledger, authorize(book, CUSTOMER, 10))
    other = await make_book(owner, brand_id=2)
    step = Redeem(other, operation, "k", bytes(32), points=1, redemption=held.redemption)
    assert (await ledger.redeem(step)).outcome is RedemptionOutcome.NOT_FOUND
    assert await ledger.redemption(other, held.redemption) is None
    assert await ledger.redemption(Book(brand_id=2, book_id=book.book_id), held.redemption) is None


# ---- What cannot be right


WRONG_STEPS: dict[str, StepOf] = {
    "authorize nothing": lambda book, _: authorize(book, CUSTOMER, 0),
    "authorize less than nothing": lambda book, _: authorize(book, CUSTOMER, -5),
    "authorize nothing of nothing": lambda book, _: authorize(book, 8, 0),
    "authorize less than nothing of nothing": lambda book, _: authorize(book, 8, -5),
    "capture less than nothing": lambda book, held: capture(book, held, -1),
    "refund less than nothing": lambda book, held: refund(book, held, -1),
    "an order with a NUL": lambda book, _: authorize(book, CUSTOMER, 5, order_ref="\x00"),
    "more points than there are numbers": lambda book, _: authorize(book, CUSTOMER, 2**63),
}


@pytest.mark.parametrize("step", WRONG_STEPS.values(), ids=list(WRONG_STEPS))
async def test_a_step_that_cannot_be_right_is_refused_alone_and_its_neighbours_are_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, step: StepOf
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    held = await redeemed(ledger, authorize(book, CUSTOMER, 10))
    neighbours = [authorize(book, CUSTOMER, 1, order_ref="a"), authorize(book, CUSTOMER, 1, order_ref="b")]
    first, wrong, last = await asyncio.gather(
        ledger.redeem(neighbours[0]),
        ledger.redeem(step(book, held.redemption)),
        ledger.redeem(neighbours[1]),
        return_exceptions=True,
    )
    assert isinstance(wrong, DataRefused)
    for answer in (first, last):
        assert not isinstance(answer, BaseException)
        assert (answer.outcome, answer.replayed) == (DONE, False)
    assert await owner.fetchval("SELECT count(*) FROM ledger.redemption") == 3


async def test_a_step_for_another_brands_book_is_refused_alone_and_its_neighbours_are_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    other = await make_book(owner, brand_id=2)
    for each in (book, other):
        await earn(ledger, each, CUSTOMER, *WALLET)
    answers = await asyncio.gather(
        ledger.redeem(authorize(book, CUSTOMER, 1)),
        ledger.redeem(authorize(Book(brand_id=1, book_id=99), CUSTOMER, 1)),
        ledger.redeem(authorize(other, CUSTOMER, 1)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], BookRefused)
    for answer in (answers[0], answers[2]):
        assert not isinstance(answer, BaseException)
        assert (answer.outcome, answer.replayed) == (DONE, False)


async def test_redemptions_are_found_by_customer_order_store_and_terminal_newest_first(
    ledger: Ledger, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    for customer in (7, 8):
        await earn(ledger, book, customer, (NEVER, 100))
    asked = [(7, "a", "x", "1"), (8, "a", "x", "2"), (7, "b", "y", "1"), (7, "a", None, None)]
    made = [
        (await redeemed(ledger, authorize(book, customer, 1, order_ref=order, store_id=store, terminal_id=terminal))).redemption
        for customer, order, store, terminal in asked
    ]

    async def found(before: int | None = None, limit: int = 100, **wanted: Any) -> list[int]:
        page, _ = await ledger.find_redemptions(book, RedemptionFilter(**wanted), before=before, limit=limit)
        return [made.index(each.redemption) for each in page]

    assert await found() == [3, 2, 1, 0]
    assert await found(customer=7) == [3, 2, 0]
    assert await found(order_ref="a") == [3, 1, 0]
    assert await found(customer=7, order_ref="a") == [3, 0]
    assert await found(customer=7, limit=1) == [3]
    assert await found(customer=7, before=made[3], limit=1) == [2]
    assert await found(customer=9) == []
    assert await found(store_id="x") == [1, 0]
    assert await found(store_id="x", terminal_id="2") == [1]
    assert await found(store_id="x", terminal_id="2", customer=7) == []
    assert await found(store_id="x", status=RedemptionStatus.AUTHORIZED) == [1, 0]
    assert await found(store_id="y", status=RedemptionStatus.VOIDED) == []
    assert await found(between=(made[0], made[3])) == [2, 1]
    assert await found(between=(made[0], made[3]), before=made[2], store_id="x") == [1]
    assert await ledger.find_redemptions(Book(2, book.book_id), RedemptionFilter(customer=7)) == ([], None)
    # What is wanted beside what an index finds is looked for among so many.
    monkeypatch.setattr(redemptions, "SCAN_ROWS_MAX", 1)
    assert await ledger.find_redemptions(book, RedemptionFilter(store_id="x", terminal_id="1")) == ([], made[1])
    assert await found(before=made[1], store_id="x", terminal_id="1") == [0]


STATUSES = {status for story in STORIES.values() for status in (after.answer for after in story) if status.islower()}


def test_the_stories_visit_every_status() -> None:
    assert {RedemptionStatus(status) for status in STATUSES} == set(RedemptionStatus)


async def test_a_void_of_what_was_voided_or_timed_out_before_is_done_though_a_part_was_captured(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await earn(ledger, book, CUSTOMER, *WALLET)
    numbers = [(await redeemed(ledger, authorize(book, CUSTOMER, 10))).redemption for _ in range(3)]
    for number in numbers:
        await redeemed(ledger, capture(book, number, 4, final=False))
    voided, timed_out, captured = numbers
    await redeemed(ledger, void(book, voided))
    await redeemed(ledger, capture(book, captured, 1))
    await set_clock(owner, book, datetime(2030, 2, 2, tzinfo=UTC))
    # Without a key nothing is kept of a void: what it answers is in the log.
    answers = [await ledger.redeem(void(book, number)) for number in (voided, timed_out, captured)]
    assert [(answer.outcome, answer.replayed) for answer in answers] == [
        (RedemptionOutcome.DONE, True),
        (RedemptionOutcome.DONE, True),
        (RedemptionOutcome.FULLY_CAPTURED, False),
    ]
