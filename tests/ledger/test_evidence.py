"""A strong act proves that a person is there, and pays what waited on the same message: in whatever order reports come."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger import Book, CapUse, Grade, GrantOrder, GrantOutcome, GrantResult, Ledger, audit, sweep
from ledger.testing import NOON, corroboration, fund, order, set_clock

GRANTED, WAITING, PROOF_ONLY = GrantOutcome.GRANTED, GrantOutcome.WAITING, GrantOutcome.PROOF_ONLY


@pytest.fixture(autouse=True)
async def funded(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))


def an_open(book: Book, **fields: Any) -> GrantOrder:
    """A report that a message was opened, by something that may be a machine."""
    told: dict[str, Any] = {"action": "open", "points": 1, "waits": True, "grade": Grade.D, "corroboration": corroboration()}
    return order(book, **told | fields)


def a_click(book: Book, **fields: Any) -> GrantOrder:
    """A click that only a person can have made."""
    told: dict[str, Any] = {
        "action": "click",
        "points": 5,
        "grade": Grade.B,
        "corroboration": corroboration(may_wait=("open",)),
    }
    return order(book, **told | fields)


def a_reply(book: Book, customer: int = 7) -> GrantOrder:
    """A reply, for which nothing is paid."""
    there = corroboration(customer=customer, may_wait=("open",))
    reply = order(book, customer=customer, points=0, grade=Grade.A, corroboration=there)
    return msgspec.structs.replace(reply, key=there.proof_keys[0])


async def answered(ledger: Ledger, *orders: GrantOrder) -> list[GrantResult]:
    """The answers, none of which is an error."""
    answers = await ledger.grant_batch(orders)
    return [answer for answer in answers if isinstance(answer, GrantResult)]


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
async def test_every_order_of_arrival_ends_the_same(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, together: bool
) -> None:
    await ledger.fund(fund(book, 100))
    for customer, arrival in enumerate(itertools.permutations(range(4)), 1000):
        about: dict[str, Any] = {"customer": customer, "corroboration": corroboration(customer=customer, may_wait=("open",))}
        reports = [
            an_open(book, **about),
            an_open(book, **about, metadata='"again"'),
            a_click(book, **about),
            a_reply(book, customer=customer),
        ]
        arriving = [reports[which] for which in arrival]
        if together:
            answers = await answered(ledger, *arriving)
        else:
            answers = [(await answered(ledger, each))[0] for each in arriving]
        assert [answer.points for answer, which in zip(answers, arrival, strict=True) if which == 2] == [5]
        assert (await ledger.balance(book, customer)).spendable == 6, arrival
        opened = await ledger.decision(book, 1, [reports[0].key])
        assert opened is not None
        assert (opened.outcome, opened.points) == (GRANTED, 1), arrival
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb = 2") == 24 * 2
    assert [each for each in await audit(owner, book) if each.violations] == []


async def test_an_open_that_waits_is_paid_when_a_click_proves_the_person(ledger: Ledger, book: Book) -> None:
    (waiting,) = await answered(ledger, an_open(book))
    assert (waiting.outcome, waiting.points, waiting.balance) == (WAITING, 0, 0)
    (click,) = await answered(ledger, a_click(book))
    assert (click.outcome, click.points, click.balance) == (GRANTED, 5, 6)
    (again,) = await answered(ledger, an_open(book))
    assert (again.outcome, again.points, again.replayed) == (GRANTED, 1, True)


async def test_an_open_after_the_click_is_paid_at_once(ledger: Ledger, book: Book) -> None:
    await answered(ledger, a_click(book))
    (opened,) = await answered(ledger, an_open(book))
    assert (opened.outcome, opened.points, opened.replayed, opened.balance) == (GRANTED, 1, False, 6)


async def test_an_act_that_earns_nothing_proves_as_well(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await answered(ledger, an_open(book))
    (reply,) = await answered(ledger, a_reply(book))
    assert (reply.outcome, reply.points, reply.replayed, reply.balance) == (PROOF_ONLY, 0, False, 1)
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 1


async def test_it_is_paid_what_its_own_report_was_worth(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    opened = an_open(book, at=NOON - timedelta(hours=3), expires_on=NOON.date() + timedelta(days=9), metadata='{"a":1}')
    await answered(ledger, opened)
    await answered(ledger, a_click(book))
    paid = await ledger.event(book, 1, opened.key)
    assert paid is not None
    assert (paid.points, paid.window_at, paid.grade, paid.metadata) == (1, opened.window_at, "B", '{"a":1}')
    row = await owner.fetchrow("SELECT * FROM ledger.transfer WHERE event_key = $1", opened.key)
    assert row is not None
    assert (row["occurred_at"], row["customer"], row["campaign_no"]) == (opened.occurred_at, 7, 1)
    lots = (await ledger.balance(book, 7)).lots
    assert [(lot.expires_on, lot.points) for lot in lots] == [(opened.terms.expires_on, 1), (None, 5)]
    assert [each for each in await audit(owner, book) if each.violations] == []


@pytest.mark.parametrize("click_first", [False, True])
async def test_its_cap_holds(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, click_first: bool) -> None:
    caps = (CapUse(0, NOON.date(), max_grants=2), CapUse(1, None, max_points=10), CapUse(2, NOON.date(), 9, shared=True))
    reports = [an_open(book, caps=caps), a_click(book, caps=caps)]
    await answered(ledger, order(book, message_id="another", points=1, caps=caps))
    for each in reversed(reports) if click_first else reports:
        await answered(ledger, each)
    opened = await ledger.decision(book, 1, [reports[0].key])
    assert opened is not None
    assert (opened.outcome, opened.points) == (GrantOutcome.CAP_REACHED, 0)
    assert (await ledger.balance(book, 7)).spendable == 6
    assert await owner.fetch("SELECT grants, points FROM ledger.cap_use ORDER BY cap") == [(2, 6), (2, 6)]
    assert [each for each in await audit(owner, book) if each.violations] == []


async def test_its_budget_holds(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await answered(ledger, order(book, message_id="another", points=95))
    await answered(ledger, an_open(book))
    (click,) = await answered(ledger, a_click(book))
    assert (click.outcome, click.balance) == (GRANTED, 100)
    (opened,) = await answered(ledger, an_open(book))
    assert (opened.outcome, opened.replayed) == (GrantOutcome.BUDGET_EXHAUSTED, True)
    assert [each for each in await audit(owner, book) if each.violations] == []


async def test_a_proof_must_be_as_strong_as_the_rule_asks(ledger: Ledger, book: Book) -> None:
    needs_a_session = corroboration(needs=Grade.A)
    await answered(ledger, a_click(book, corroboration=corroboration()))
    (waiting,) = await answered(ledger, an_open(book, corroboration=needs_a_session))
    assert waiting.outcome is WAITING
    await answered(ledger, a_reply(book))
    (paid,) = await answered(
        ledger, order(book, action="open", points=1, waits=True, grade=Grade.B, corroboration=needs_a_session)
    )
    assert (paid.outcome, paid.points) == (GRANTED, 1)


async def test_another_message_or_customer_proves_nothing(ledger: Ledger, book: Book) -> None:
    await answered(
        ledger, a_click(book, message_id="another", corroboration=corroboration(message_id="another", may_wait=("open",)))
    )
    await answered(ledger, a_click(book, customer=8, corroboration=corroboration(customer=8, may_wait=("open",))))
    (waiting,) = await answered(ledger, an_open(book))
    assert waiting.outcome is WAITING


async def test_many_at_once(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    people = range(100, 130)
    clicks = [
        a_click(book, customer=each, points=1, corroboration=corroboration(customer=each, may_wait=("open",)))
        for each in people
    ]
    opens = [an_open(book, customer=each, corroboration=corroboration(customer=each)) for each in people]
    answers = await answered(ledger, *opens[:20], *clicks, *opens)
    assert {answer.outcome for answer in answers} == {GRANTED}
    assert await owner.fetchval("SELECT sum(points) FROM ledger.customer_state") == 60
    assert [each for each in await audit(owner, book) if each.violations] == []


async def test_what_waited_lasts_from_its_decision(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    months = [date(2030, 1, 31), date(2030, 2, 28), date(2031, 1, 31), None]
    waiting = [
        an_open(book, customer=n, expires_on=last_day, corroboration=corroboration(customer=n))
        for n, last_day in enumerate(months, 7)
    ]
    await answered(ledger, *waiting)
    await set_clock(owner, book, NOON + timedelta(days=40))
    for each in waiting:
        proof = corroboration(customer=each.customer, may_wait=("open",))
        await answered(ledger, a_click(book, customer=each.customer, points=0, corroboration=proof))
    lots = [[lot.expires_on for lot in (await ledger.balance(book, each.customer)).lots] for each in waiting]
    assert lots == [[date(2030, 2, 28)], [date(2030, 3, 31)], [date(2031, 2, 28)], [None]]


async def test_what_waited_and_is_held_back_is_so_from_its_decision(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    held_for = timedelta(days=14)
    waiting = an_open(book, held_back=True, due_at=NOON + held_for)
    await answered(ledger, waiting)
    proved_at = NOON + timedelta(days=40)
    await set_clock(owner, book, proved_at)
    await answered(ledger, a_click(book))
    assert (await ledger.balance(book, 7)).pending == 1
    event = await ledger.event(book, 1, waiting.key)
    assert event
    assert (event.outcome, event.due_at) == (GrantOutcome.HELD_BACK, proved_at + held_for)
    await set_clock(owner, book, proved_at + held_for)
    assert (await ledger.balance(book, 7)).pending == 0
    assert await sweep(worker_pool, book) == 1
    assert await sweep(worker_pool, book) == 0


# ---- Who has several ids

OLD, NEW = 7, 8


def under_both(**fields: Any) -> dict[str, Any]:
    """What a report says that knows her under both numbers."""
    return {"customer": NEW, "former": (OLD,), "corroboration": corroboration(customer=NEW, former=(OLD,), **fields)}


async def test_what_waits_under_two_ids_is_paid_once(ledger: Ledger, owner: asyncpg.Connection[Any], book: Book) -> None:
    await answered(ledger, an_open(book, customer=OLD, corroboration=corroboration(customer=OLD)))
    await answered(ledger, order(book, customer=9))
    await answered(ledger, an_open(book, customer=NEW, corroboration=corroboration(customer=NEW)))
    await ledger.merge(book, loser=OLD, survivor=NEW)
    weak, strong = an_open(book, **under_both()), a_click(book, **under_both(may_wait=("open",)))
    opened, click = await answered(ledger, weak, strong)
    assert (opened.outcome, opened.points, click.points, click.balance) == (GRANTED, 1, 5, 6)
    assert opened.key == weak.key
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb = 2 AND customer = 8") == 2


@pytest.mark.parametrize("weak_after", [0, 1])
@pytest.mark.parametrize("weak_before", [1, 2, 3])
async def test_a_batch_that_reports_what_waits_under_a_former_id_again_and_again_pays_it_once(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, weak_before: int, weak_after: int
) -> None:
    await answered(ledger, an_open(book, customer=OLD, corroboration=corroboration(customer=OLD)))
    await ledger.merge(book, loser=OLD, survivor=NEW)
    weak, strong = an_open(book, **under_both()), an_open(book, **under_both(), waits=False, grade=Grade.A)
    answers = await answered(ledger, *[weak] * weak_before, strong, *[weak] * weak_after)
    said = [(each.outcome, each.points, each.key) for each in answers]
    assert said == [(WAITING, 0, strong.key)] * weak_before + [(GRANTED, 1, strong.key)] * (1 + weak_after)
    again = await ledger.grant(weak)
    assert (again.outcome, again.points, again.replayed, again.key) == (GRANTED, 1, True, strong.key)
    assert again.balance == 1
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb = 2") == 1


@pytest.mark.parametrize("which_looks", [0, 1, 2])
async def test_of_reports_of_what_waits_under_a_former_id_any_finds_the_proof_for_all(
    ledger: Ledger, book: Book, which_looks: int
) -> None:
    (waiting,) = await answered(ledger, an_open(book, customer=OLD, corroboration=corroboration(customer=OLD)))
    await ledger.merge(book, loser=OLD, survivor=NEW)
    looks = an_open(book, **under_both())
    opens = [looks if n == which_looks else msgspec.structs.replace(looks, corroboration=None) for n in range(3)]
    *opened, click = await answered(ledger, *opens, a_click(book, **under_both()))
    assert [(each.outcome, each.points, each.key) for each in opened] == [(GRANTED, 1, waiting.key)] * 3
    assert click.balance == 6


async def test_a_strong_act_that_waits_for_a_stronger_one_finds_the_proof_under_a_former_id(ledger: Ledger, book: Book) -> None:
    await answered(ledger, a_reply(book, customer=OLD))
    await ledger.merge(book, loser=OLD, survivor=NEW)
    (opened,) = await answered(ledger, an_open(book, grade=Grade.B, **under_both(needs=Grade.A)))
    assert (opened.outcome, opened.points) == (GRANTED, 1)


async def test_what_was_paid_under_a_former_id_is_not_paid_when_its_refusal_is_decided_again(
    ledger: Ledger, book: Book
) -> None:
    caps = (CapUse(0, NOON.date(), max_grants=1),)
    paid, _, refused = await answered(
        ledger,
        order(book, customer=OLD, caps=caps),
        order(book, customer=NEW, caps=caps, message_id="another"),
        order(book, customer=NEW, caps=caps),
    )
    assert (paid.outcome, refused.outcome) == (GRANTED, GrantOutcome.CAP_REACHED)
    await ledger.merge(book, loser=OLD, survivor=NEW)
    (again,) = await answered(ledger, order(book, customer=NEW, former=(OLD,), again=True))
    assert (again.outcome, again.points, again.replayed, again.key) == (GRANTED, 5, True, paid.key)
    read = await ledger.decision(book, 1, [refused.key, paid.key])
    assert read is not None
    assert (read.outcome, read.key) == (GRANTED, paid.key)


async def test_a_weak_act_pays_nothing_whatever_it_bears_on(ledger: Ledger, book: Book) -> None:
    await answered(ledger, an_open(book))
    await answered(ledger, order(book, action="click", grade=Grade.C, corroboration=corroboration(may_wait=("open",))))
    (opened,) = await answered(ledger, an_open(book))
    assert opened.outcome is WAITING


async def test_what_was_refused_does_not_wait_again(ledger: Ledger, book: Book) -> None:
    refused = await ledger.grant(order(book, points=1_000))
    assert refused.outcome is GrantOutcome.BUDGET_EXHAUSTED
    again = await ledger.grant(order(book, points=1_000, waits=True, again=True))
    assert (again.outcome, again.replayed) == (GrantOutcome.BUDGET_EXHAUSTED, True)
