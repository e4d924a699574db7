"""Grants: each event is decided once, in order of arrival, and the answer says how."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import (
    AccountClass,
    Balance,
    Book,
    BookRefused,
    CapUse,
    Grade,
    GrantOrder,
    GrantOutcome,
    GrantResult,
    Ledger,
    LedgerError,
    Lot,
)
from ledger.chart import budget
from ledger.testing import NOON, fund, order, set_clock
from tests.ledger.conftest import make_book, spendable, written

GRANTED, WAITING, STALE_CUSTOMER = GrantOutcome.GRANTED, GrantOutcome.WAITING, GrantOutcome.STALE_CUSTOMER
CAP, BUDGET = GrantOutcome.CAP_REACHED, GrantOutcome.BUDGET_EXHAUSTED

TODAY = NOON.date()
JANUARY, MARCH, APRIL = date(2030, 1, 31), date(2030, 3, 31), date(2030, 4, 30)


def at_most(*, grants: int | None = None, points: int | None = None, cap: int = 0, period: date = TODAY) -> CapUse:
    """A cap for the customer's day."""
    return CapUse(cap, period, max_grants=grants, max_points=points)


def decided(answers: Sequence[GrantResult | LedgerError]) -> list[tuple[GrantOutcome, int, bool]]:
    """Outcome, points and whether it is a replay, of each answer."""
    results = [answer for answer in answers if isinstance(answer, GrantResult)]
    assert len(results) == len(answers)
    return [(result.outcome, result.points, result.replayed) for result in results]


async def budget_left(owner: asyncpg.Connection[Any], book: Book, campaign_no: int = 1, *, unlimited: bool = False) -> int:
    """What a campaign has left to grant."""
    return await owner.fetchval(
        "SELECT credits - debits FROM ledger.account WHERE book_id = $1 AND id = $2",
        book.book_id,
        budget(campaign_no, unlimited=unlimited),
    )


async def test_a_grant_moves_points_from_the_campaigns_budget_to_the_customers_lot(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    result = await ledger.grant(order(book, customer=7, points=5, expires_on=MARCH))
    assert result == GrantResult(GRANTED, points=5, seq=2, replayed=False, balance=5, balance_seq=2, key=order(book).key)
    assert await ledger.balance(book, 7) == Balance(
        spendable=5, held=0, pending=0, lots=(Lot(AccountClass.ENGAGEMENT, MARCH, 5),), seq=2
    )
    assert await budget_left(owner, book) == 95
    event = await ledger.event(book, 1, order(book).key)
    assert event is not None
    assert (event.customer, event.seq, event.points, event.grade) == (7, 2, 5, "B")
    assert (event.window_at, event.decided_at, event.message_id, event.qualifier) == (NOON, NOON, "message-1", "")


async def test_a_report_of_a_decided_event_gets_the_same_answer_and_writes_nothing(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book))
    await ledger.grant(order(book, message_id="message-2"))
    before = await written(owner)
    again = await ledger.grant(order(book, points=99, grade=Grade.A))
    assert again == GrantResult(GRANTED, points=5, seq=2, replayed=True, balance=10, balance_seq=3, key=order(book).key)
    assert await written(owner) == before


@pytest.mark.parametrize("waits", [False, True], ids=["strong", "weak"])
@pytest.mark.parametrize(
    ("caps", "points", "outcome"),
    [((at_most(grants=0),), 5, CAP), ((), 101, BUDGET)],
    ids=["cap reached", "budget exhausted"],
)
async def test_a_refusal_is_final(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    book: Book,
    caps: tuple[CapUse, ...],
    points: int,
    outcome: GrantOutcome,
    waits: bool,
) -> None:
    await ledger.fund(fund(book, 100))
    refused = await ledger.grant(order(book, caps=caps, points=points))
    assert refused == GrantResult(outcome, points=0, seq=1, replayed=False, balance=0, balance_seq=1, key=order(book).key)
    await ledger.fund(fund(book, 1000))
    before = await written(owner)
    again = await ledger.grant(order(book, waits=waits))
    assert again == GrantResult(outcome, points=0, seq=1, replayed=True, balance=0, balance_seq=2, key=order(book).key)
    assert await written(owner) == before


PRECEDENCE = [  # what is wrong in several ways is refused for the first
    pytest.param(True, True, True, True, STALE_CUSTOMER, id="moved"),
    pytest.param(False, True, True, True, WAITING, id="waiting"),
    pytest.param(False, False, True, True, CAP, id="cap reached"),
    pytest.param(False, False, False, True, BUDGET, id="budget exhausted"),
    pytest.param(False, False, False, False, GRANTED, id="granted"),
]


@pytest.mark.parametrize(("moved", "waits", "capped", "poor", "outcome"), PRECEDENCE)
async def test_outcomes_have_an_order_of_precedence(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    book: Book,
    moved: bool,
    waits: bool,
    capped: bool,
    poor: bool,
    outcome: GrantOutcome,
) -> None:
    await ledger.fund(fund(book, 4 if poor else 5))
    if moved:
        await freeze(owner, book, 7)
    result = await ledger.grant(order(book, waits=waits, caps=(at_most(grants=0),) if capped else ()))
    assert result.outcome is outcome


async def freeze(owner: asyncpg.Connection[Any], book: Book, customer: int) -> None:
    """Do what a merge does to the customer that is merged away."""
    await owner.execute(
        "INSERT INTO ledger.customer_state (book_id, customer, frozen) VALUES ($1, $2, true)", book.book_id, customer
    )


async def test_a_customer_who_was_merged_away_earns_nothing_and_nothing_is_recorded(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    await freeze(owner, book, 7)
    before = await written(owner)
    answers = await ledger.grant_batch([order(book, customer=7), order(book, customer=7, waits=True)])
    assert decided(answers) == [(STALE_CUSTOMER, 0, False)] * 2
    assert await written(owner) == before
    assert decided(await ledger.grant_batch([order(book, customer=7), order(book, customer=8)])) == [
        (STALE_CUSTOMER, 0, False),
        (GRANTED, 5, False),
    ]


# Reports of one event, weak (w) or strong (s), and what each is answered. A bar is the end of a batch.
SIGHTINGS = [
    ("s s", "granted replay"),
    ("s | s", "granted replay"),
    ("w", "waiting"),
    ("w w", "waiting waits-still"),
    ("w | w", "waiting waits-still"),
    ("w s", "waiting granted"),
    ("w | s", "waiting granted"),
    ("s w", "granted replay"),
    ("s | w", "granted replay"),
    ("w w s s w", "waiting waits-still granted replay replay"),
    ("w w | w s s | w s", "waiting waits-still waits-still granted replay replay replay"),
]
ANSWERS = {
    "granted": (GRANTED, 5, False),
    "replay": (GRANTED, 5, True),
    "waiting": (WAITING, 0, False),
    "waits-still": (WAITING, 0, True),
}


@pytest.mark.parametrize(("reports", "answers"), SIGHTINGS, ids=[reports for reports, _ in SIGHTINGS])
async def test_weak_evidence_waits_until_a_stronger_report_decides_the_event(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, reports: str, answers: str
) -> None:
    await ledger.fund(fund(book, 100))
    got: list[tuple[GrantOutcome, int, bool]] = []
    for batch in reports.split(" | "):
        sightings = [
            order(book, waits=sighting == "w", grade=Grade.D if sighting == "w" else Grade.B) for sighting in batch.split()
        ]
        got += decided(await ledger.grant_batch(sightings))
    assert got == [ANSWERS[answer] for answer in answers.split()]
    paid = 5 if "s" in reports else 0
    assert await spendable(ledger, book, 7) == paid
    event = await owner.fetchrow("SELECT grade, points, outcome FROM ledger.event")
    assert event is not None
    assert tuple(event) == ((b"B", 5, GRANTED) if paid else (b"D", 0, WAITING))


@pytest.mark.parametrize("separate", [True, False], ids=["in a later batch", "in the same batch"])
async def test_a_stronger_report_can_also_be_refused(ledger: Ledger, book: Book, separate: bool) -> None:
    await ledger.fund(fund(book, 5))
    weak = [order(book, waits=True), order(book, message_id="message-2", waits=True)]
    strong = [
        order(book, caps=(at_most(grants=0),)),
        order(book, message_id="message-2", points=6),
        order(book),
        order(book, message_id="message-2", points=5),
    ]
    batches = [weak, strong] if separate else [weak + strong]
    got = [answer for batch in batches for answer in decided(await ledger.grant_batch(batch))]
    assert got[2:] == [(CAP, 0, False), (BUDGET, 0, False), (CAP, 0, True), (BUDGET, 0, True)]


async def test_the_details_are_those_of_the_report_that_decided(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book, waits=True, grade=Grade.D, channel="sms", metadata='{"n":1}'))
    await ledger.grant(order(book, grade=Grade.A, channel="email", metadata='{"n":2}'))
    await ledger.grant(order(book, grade=Grade.A, channel="push", metadata='{"n":3}'))
    event = await owner.fetchrow("SELECT grade, channel, metadata FROM ledger.event")
    assert event is not None
    assert tuple(event) == (b"A", "email", '{"n":2}')


async def test_the_same_event_twice_in_one_batch_is_paid_once_and_both_are_answered_alike(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    orders = [order(book, message_id=message_id) for message_id in ("a", "b", "a", "c", "b", "a")]
    answers = await ledger.grant_batch(orders)
    assert decided(answers) == [(GRANTED, 5, replayed) for replayed in (False, False, True, False, True, True)]
    seqs = [answer.seq for answer in answers if isinstance(answer, GrantResult)]
    assert seqs == [2, 3, 2, 4, 3, 2]
    assert await spendable(ledger, book, 7) == 15


async def test_the_same_message_in_two_campaigns_is_two_events(ledger: Ledger, book: Book) -> None:
    for campaign_no in (1, 2):
        await ledger.fund(fund(book, 100, campaign_no=campaign_no))
    key = order(book).key
    orders = [order(book, campaign_no=1), order(book, campaign_no=2)]
    assert orders[1].key != key
    assert decided(await ledger.grant_batch(orders)) == [(GRANTED, 5, False)] * 2


async def test_a_batch_may_hold_several_books_and_answers_in_the_order_asked(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    second, third = await make_book(owner, brand_id=2), await make_book(owner, brand_id=3)
    for each, points in ((book, 7), (second, 100), (third, 100)):
        await ledger.fund(fund(each, points))
    orders = [
        order(third),
        order(book),
        order(second),
        order(book, message_id="b"),
        order(third),
        order(second, message_id="b"),
    ]
    answers = await ledger.grant_batch(orders)
    assert answers == [
        GrantResult(GRANTED, 5, seq=2, replayed=False, balance=5, balance_seq=2, key=orders[0].key),
        GrantResult(GRANTED, 5, seq=2, replayed=False, balance=5, balance_seq=2, key=orders[1].key),
        GrantResult(GRANTED, 5, seq=2, replayed=False, balance=10, balance_seq=3, key=orders[2].key),
        GrantResult(BUDGET, 0, seq=2, replayed=False, balance=5, balance_seq=2, key=orders[3].key),
        GrantResult(GRANTED, 5, seq=2, replayed=True, balance=5, balance_seq=2, key=orders[4].key),
        GrantResult(GRANTED, 5, seq=3, replayed=False, balance=10, balance_seq=3, key=orders[5].key),
    ]


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "between", "last"])
@pytest.mark.parametrize("foreign", [Book(2, 1), Book(1, 999)], ids=["another brand's", "nobody's"])
async def test_a_book_that_is_not_the_brands_is_refused_and_the_others_are_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, foreign: Book, place: int
) -> None:
    second = await make_book(owner, brand_id=2)
    for each in (book, second):
        await ledger.fund(fund(each, 100))
    orders = [order(book), order(second)]
    orders.insert(place, order(foreign, message_id="foreign", customer=8))
    answers = await ledger.grant_batch(orders)
    assert isinstance(answers.pop(place), BookRefused)
    assert decided(answers) == [(GRANTED, 5, False)] * 2
    assert await spendable(ledger, book, 8) == 0


async def test_one_order_for_another_brands_book_raises(ledger: Ledger, book: Book) -> None:
    with pytest.raises(BookRefused):
        await ledger.grant(order(Book(brand_id=2, book_id=book.book_id)))


BUDGETS = [  # funded, what is asked for in order, what is paid
    (10, (4, 6), (4, 6)),
    (10, (4, 7, 6), (4, None, 6)),
    (10, (11, 10, 1), (None, 10, None)),
    (10, (5, 5, 1), (5, 5, None)),
]


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "batches of one"])
@pytest.mark.parametrize(("funded", "asked", "paid"), BUDGETS)
async def test_a_budget_is_spent_to_the_last_point_and_no_further(
    ledger: Ledger,
    owner: asyncpg.Connection[Any],
    book: Book,
    funded: int,
    asked: tuple[int, ...],
    paid: tuple[int | None, ...],
    together: bool,
) -> None:
    await ledger.fund(fund(book, 1, campaign_no=2))
    await ledger.fund(fund(book, funded))
    orders = [order(book, message_id=f"message-{n}", customer=n, points=points) for n, points in enumerate(asked)]
    assert decided(await post(ledger, orders, together=together)) == [
        (BUDGET, 0, False) if points is None else (GRANTED, points, False) for points in paid
    ]
    assert await budget_left(owner, book) == funded - sum(points or 0 for points in paid)


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "batches of one"])
async def test_nothing_is_decided_of_a_campaign_that_was_never_given_points(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, together: bool
) -> None:
    await ledger.fund(fund(book, 1, campaign_no=2))
    orders = [order(book, message_id="same"), order(book, message_id="same"), order(book, message_id="other")]
    for _ in range(2):
        assert decided(await post(ledger, orders, together=together)) == [(GrantOutcome.NOT_FUNDED, 0, False)] * 3
        assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 0
    # Once it is spent, that is decided.
    await ledger.fund(fund(book, 5))
    assert decided(await post(ledger, orders, together=together)) == [
        (GRANTED, 5, False),
        (GRANTED, 5, True),
        (BUDGET, 0, False),
    ]


async def post(ledger: Ledger, orders: list[GrantOrder], *, together: bool) -> list[GrantResult | LedgerError]:
    """Post orders as one batch, or each as a batch of its own."""
    if together:
        return await ledger.grant_batch(orders)
    return [await ledger.grant(each) for each in orders]


CAPS: list[Any] = [  # the caps of each grant, what is asked for in order, what is paid
    pytest.param((at_most(grants=2),), (5, 5, 5), (5, 5, None), id="grants"),
    pytest.param((at_most(points=10),), (4, 6, 1), (4, 6, None), id="points"),
    pytest.param((at_most(points=10),), (4, 7, 6), (4, None, 6), id="points that would go past the cap"),
    pytest.param((at_most(grants=2, points=10),), (4, 4, 2), (4, 4, None), id="both, grants first"),
    pytest.param((at_most(grants=9, points=10),), (4, 4, 4), (4, 4, None), id="both, points first"),
    pytest.param((at_most(grants=9), at_most(points=10, cap=1)), (4, 4, 4, 2), (4, 4, None, 2), id="two caps"),
    pytest.param((at_most(),), (10**9, 10**9), (10**9, 10**9), id="a cap without limits"),
    pytest.param((at_most(grants=0),), (1,), (None,), id="nothing at all"),
]


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "batches of one"])
@pytest.mark.parametrize(("caps", "asked", "paid"), CAPS)
async def test_a_cap_is_exact(
    ledger: Ledger,
    book: Book,
    caps: tuple[CapUse, ...],
    asked: tuple[int, ...],
    paid: tuple[int | None, ...],
    together: bool,
) -> None:
    await ledger.fund(fund(book, 10**12))
    orders = [order(book, message_id=f"message-{n}", points=points, caps=caps) for n, points in enumerate(asked)]
    assert decided(await post(ledger, orders, together=together)) == [
        (CAP, 0, False) if points is None else (GRANTED, points, False) for points in paid
    ]


SEPARATE_CAPS = [
    pytest.param({"customer": 8}, id="another customer"),
    pytest.param({"campaign_no": 2}, id="another campaign"),
    pytest.param({"caps": (at_most(grants=1, period=date(2030, 1, 16)),)}, id="another day"),
    pytest.param({"caps": (at_most(grants=1, cap=1),)}, id="another cap"),
]


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "batches of one"])
@pytest.mark.parametrize("other", SEPARATE_CAPS)
async def test_a_cap_counts_for_one_customer_campaign_and_period(
    ledger: Ledger, book: Book, other: dict[str, Any], together: bool
) -> None:
    for campaign_no in (1, 2):
        await ledger.fund(fund(book, 100, campaign_no=campaign_no))
    caps = (at_most(grants=1),)
    arguments: dict[str, Any] = {"caps": caps} | other
    orders = [
        order(book, message_id="a", caps=caps),
        order(book, message_id="b", caps=caps),
        order(book, message_id="c", **arguments),
    ]
    assert [outcome for outcome, _, _ in decided(await post(ledger, orders, together=together))] == [GRANTED, CAP, GRANTED]


async def test_what_is_not_paid_uses_no_cap(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 5))
    caps = (at_most(grants=1),)
    answers = await ledger.grant_batch(
        [
            order(book, message_id="waits", caps=caps, waits=True),
            order(book, message_id="too dear", caps=caps, points=6),
            order(book, message_id="fits", caps=caps),
            order(book, message_id="late", caps=caps),
            order(book, message_id="fits", caps=caps),
        ]
    )
    assert decided(answers) == [
        (WAITING, 0, False),
        (BUDGET, 0, False),
        (GRANTED, 5, False),
        (CAP, 0, False),
        (GRANTED, 5, True),
    ]


async def test_an_unlimited_budget_needs_no_funding_and_says_how_much_it_granted(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    orders = [order(book, message_id=f"message-{n}", points=10**9, unlimited=True) for n in range(3)]
    assert decided(await ledger.grant_batch(orders[:2])) == [(GRANTED, 10**9, False)] * 2
    assert (await ledger.grant(orders[2])).balance == 3 * 10**9
    assert await budget_left(owner, book, unlimited=True) == -3 * 10**9


async def test_points_of_one_class_and_last_day_are_one_lot_and_lots_are_listed_soonest_first(
    ledger: Ledger, book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    earned = [
        (1, None, AccountClass.ENGAGEMENT),
        (2, APRIL, AccountClass.PURCHASE),
        (3, MARCH, AccountClass.THIRD_PARTY),
        (4, APRIL, AccountClass.ENGAGEMENT),
        (5, MARCH, AccountClass.THIRD_PARTY),
    ]
    await ledger.grant_batch(
        [
            order(book, message_id=f"message-{n}", points=points, expires_on=expires_on, account_class=account_class)
            for n, (points, expires_on, account_class) in enumerate(earned)
        ]
    )
    assert (await ledger.balance(book, 7)).lots == (
        Lot(AccountClass.THIRD_PARTY, MARCH, 8),
        Lot(AccountClass.ENGAGEMENT, APRIL, 4),
        Lot(AccountClass.PURCHASE, APRIL, 2),
        Lot(AccountClass.ENGAGEMENT, None, 1),
    )


async def test_the_balance_in_an_answer_is_the_customers_after_the_whole_batch(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    answers = await ledger.grant_batch(
        [
            order(book, customer=7, message_id="a", points=1, expires_on=MARCH),
            order(book, customer=8, message_id="a", points=10),
            order(book, customer=7, message_id="b", points=2, expires_on=APRIL),
            order(book, customer=7, message_id="c", points=1000),
            order(book, customer=9, message_id="a", waits=True),
        ]
    )
    balances = [(answer.balance, answer.balance_seq) for answer in answers if isinstance(answer, GrantResult)]
    assert balances == [(3, 4), (10, 4), (3, 4), (3, 4), (0, 4)]


async def test_a_report_that_comes_after_the_last_day_of_its_points_is_paid_points_that_last_as_if_earned_now(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 100))
    december, november = datetime(2029, 12, 31, 12, tzinfo=UTC), datetime(2029, 11, 30, 12, tzinfo=UTC)
    held_back = order(book, message_id="held", held_back=True, due_at=NOON + timedelta(days=1), expires_on=december.date())
    answers = await ledger.grant_batch(
        [
            order(book, message_id="alive", points=1, expires_on=JANUARY),
            order(book, message_id="the month it was earned in", points=2, at=december, expires_on=december.date()),
            order(book, message_id="the next", points=3, at=november, expires_on=december.date()),
            order(book, message_id="today", points=4, expires_on=NOON.date()),
            order(book, message_id="for ever", points=5),
            order(book, customer=8, message_id="the month", points=2, at=december, expires_on=december.date()),
            order(book, customer=9, message_id="too many", points=1_000, at=december, expires_on=december.date()),
            held_back,
        ]
    )
    balances = [answer.balance for answer in answers if isinstance(answer, GrantResult)]
    assert balances == [15, 15, 15, 15, 15, 2, 0, 15]
    lots = [(lot.expires_on, lot.points) for lot in (await ledger.balance(book, 7)).lots]
    assert lots == [(NOON.date(), 4), (JANUARY, 3), (date(2030, 2, 28), 3), (None, 5)]
    assert [lot.expires_on for lot in (await ledger.balance(book, 8)).lots] == [JANUARY]
    assert await owner.fetchval("SELECT count(*) FROM ledger.account WHERE expires_on < $1", NOON.date()) == 0


async def test_whether_a_lot_is_dead_is_told_by_the_clock_of_its_own_book(
    ledger: Ledger, owner: asyncpg.Connection[Any]
) -> None:
    """One customer's number in two books, of which one is a day ahead."""
    books = [await make_book(owner, time_zone=zone) for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago")]
    for book in books:
        await ledger.fund(fund(book, 100))
        await set_clock(owner, book, datetime(2030, 1, 31, 12, tzinfo=UTC))
    at = datetime(2030, 1, 31, 9, tzinfo=UTC)
    await ledger.grant_batch([order(book, message_id=f"{n}", at=at, expires_on=JANUARY) for n in range(2) for book in books])
    lots = [[(lot.expires_on, lot.points) for lot in (await ledger.balance(book, 7)).lots] for book in books]
    assert lots == [[(date(2030, 2, 28), 10)], [(JANUARY, 10)]]


async def test_the_statement_lists_what_changed_the_balance_newest_first(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    orders = [order(book, message_id=f"message-{n}", points=n, expires_on=MARCH) for n in (1, 2, 3)]
    await ledger.grant_batch([*orders, order(book, customer=8)])
    newest, *rest = await ledger.statement(book, 7, limit=2)
    assert (newest.seq, newest.verb, newest.points, newest.expires_on) == (4, "grant", 3, MARCH)
    assert (newest.campaign_no, newest.event_key, newest.occurred_at, newest.posted_at) == (1, orders[2].key, NOON, NOON)
    assert [entry.seq for entry in rest] == [3]
    assert [entry.seq for entry in await ledger.statement(book, 7, before=3)] == [2]


async def test_a_decision_can_be_looked_up_by_its_event(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await ledger.fund(fund(book, 7))
    orders = [order(book), order(book, message_id="too dear"), order(book, message_id="weak", waits=True)]
    await ledger.grant_batch(orders)
    before = await written(owner)
    looked_up = [await ledger.decision(book, 1, [each.key]) for each in orders]
    assert looked_up == [
        GrantResult(GRANTED, points=5, seq=2, replayed=True, balance=5, balance_seq=2, key=orders[0].key),
        GrantResult(BUDGET, points=0, seq=2, replayed=True, balance=5, balance_seq=2, key=orders[1].key),
        GrantResult(WAITING, points=0, seq=2, replayed=True, balance=5, balance_seq=2, key=orders[2].key),
    ]
    assert await ledger.decision(book, 1, [order(book, message_id="never seen").key]) is None
    assert await ledger.decision(book, 2, [orders[0].key]) is None
    assert await ledger.decision(Book(2, book.book_id), 1, [orders[0].key]) is None
    assert await written(owner) == before


async def test_a_budget_says_what_it_was_given_and_what_was_granted_from_it(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    await ledger.grant_batch([order(book, points=30), order(book, message_id="b", points=5)])
    assert await ledger.budget(book, 1) == (100, 35)
    assert await ledger.budget(book, 2) == (0, 0)
    assert await ledger.budget(Book(2, book.book_id), 1) == (0, 0)
