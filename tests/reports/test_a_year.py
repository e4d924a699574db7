"""A small year in which everything happens: all reports tie to each other and to the trial balance."""

from __future__ import annotations

import itertools
import random
from datetime import date, timedelta
from typing import Any

import asyncpg

from ledger import AccountClass, Opening, event_key, import_balances, month_end
from tests.reports.conftest import Books, at

CHANNELS = ("app", "email", "sms")
CLASSES = (AccountClass.ENGAGEMENT, AccountClass.PURCHASE)
BEGIN, END = "2030-01-15", "2030-12-31"
DEFERRED = {"opening_deferred_value", "allocated_value", "released_value", "closing_deferred_value"}


async def a_year(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    """Grants, purchases, refunds, time-outs, held-back points, expiries, a merge and a split; the worker is late at times."""
    chance = random.Random(2030)
    await books.worth("2029-01-01", 7, 3)
    await books.worth("2030-06-01", 7, 4)
    await books.fund(1_000_000)
    brought = [Opening(3, 500, date(2030, 4, 30)), Opening(4, 250, None, AccountClass.PURCHASE)]
    await import_balances(books.owner, books.book, brought, hashes=[bytes(32)], rows=2, points=750)
    captured: list[int] = []
    for month in range(1, 13):
        for day in (16, 27):
            await books.on(f"2030-{month:02}-{day}")
            await _a_day(books, chance, captured, date(2030, month, day))
        if month == 7:
            await books.ledger.merge(books.book, loser=1, survivor=2)
        if month == 9:
            await books.ledger.split(books.book, customer=1, survivor=2)
        if chance.random() < 0.7:
            await books.post_dues(worker_pool)
    await books.on("2031-01-02")


async def _a_day(books: Books, chance: random.Random, captured: list[int], today: date) -> None:
    for customer in range(3, 12):
        for _ in range(chance.randint(1, 3)):
            expires = chance.choice([None, *(month_end(today, months) for months in (0, 1, 3))])
            await books.grant(
                customer,
                chance.randint(5, 60),
                None if expires is None else expires.isoformat(),
                chance.choice(CLASSES),
                channel=chance.choice(CHANNELS),
            )
    if today.month < 7:
        await books.grant(1, 40, f"{month_end(today, 4)}")
        await books.grant(2, 40)
    await _hold_back(books, chance, today)
    for customer in chance.sample(range(3, 12), 4):
        points = (await books.ledger.balance(books.book, customer)).spendable
        if points > 4:
            captured += await _purchase(books, chance, customer, points)
    if captured:
        await books.refund(captured.pop(chance.randrange(len(captured))), 1)


async def _purchase(books: Books, chance: random.Random, customer: int, points: int) -> list[int]:
    taken = chance.randint(2, points)
    match chance.randrange(4):
        case 0:
            return [await books.redeem(customer, taken, value=chance.choice([None, taken // 2]))]
        case 1:
            redemption = await books.redeem(customer, taken, captured=False, value=taken)
            await books.capture(redemption, 1, final=False)
            await books.capture(redemption, taken // 2)
            return [redemption]
        case 2:
            await books.void(await books.redeem(customer, taken, captured=False))
        case _:
            await books.redeem(customer, taken, captured=False, hold_s=chance.choice([600, 86_400 * 8]))
    return []


async def _hold_back(books: Books, chance: random.Random, today: date) -> None:
    """Some held-back points are approved, some rejected, and some time out."""
    due = today + timedelta(days=5)
    for fate in ("mature", "reject", "time out"):
        await books.grant(12, 9, held_back=True, due_at=at(due.isoformat()))
        key = event_key(
            campaign_no=books.campaign_no, message_id=f"message {books.messages}", customer=12, action="click", qualifier=""
        )
        if fate == "mature":
            await books.ledger.mature(books.book, books.campaign_no, key, expires_on=month_end(today, chance.randint(1, 2)))
        elif fate == "reject":
            await books.ledger.reject(books.book, books.campaign_no, key)


def total(report: Any, column: str) -> int:
    return sum(row[column] for row in report["rows"])


async def test_all_reports_of_a_year_tie(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await a_year(books, worker_pool)
    reckoned = await books.report("roll-forward", since=BEGIN, until=END, by="class,month")
    await books.post_dues(worker_pool)
    await books.attribute(worker_pool)
    year = {"since": BEGIN, "until": END}
    whole = await books.report("roll-forward", **year, by="class,month")
    assert (whole["rows"], whole["totals"]) == (reckoned["rows"], reckoned["totals"])
    assert all(
        whole["totals"][column] > 0
        for column in ("granted", "matured", "brought_in", "refunded", "redeemed", "expired", "closing")
    )

    answer = await books.api.client("finance").get("/v1/ledger/trial-balance", params={"as_of": "2030-12-31T23:00:00Z"})
    accounts = answer.json()["accounts"]
    owed = sum(account["balance"] for account in accounts if account["kind"] in {"lot", "held"})
    assert owed == whole["totals"]["closing"]
    spent = sum(account["balance"] for account in accounts if account["kind"] == "spent")
    assert spent == whole["totals"]["redeemed"] - whole["totals"]["refunded"]
    died = sum(account["balance"] for account in accounts if account["kind"] == "breakage")
    assert died == whole["totals"]["expired"]

    by_campaign = await books.report("roll-forward", **year, by="campaign,channel,month")
    # Deferred revenue is an average of all that is deferred.
    assert {name for name, value in by_campaign["totals"].items() if value is None} == DEFERRED
    assert by_campaign["totals"] == whole["totals"] | dict.fromkeys(DEFERRED)
    await _months_follow_each_other(books, whole)

    settled = await books.report("settlement", **year, by="store")
    assert (total(settled, "captured"), total(settled, "refunded")) == (
        whole["totals"]["redeemed"],
        whole["totals"]["refunded"],
    )
    vintages = (await books.report("vintages", **year, by=""))["rows"]
    last = [row for row in vintages if row["age_months"] == 12 - int(row["issued_in"][5:])]
    assert sum(row["left"] for row in last) == owed
    assert sum(row["redeemed_by_now"] for row in last) == spent
    assert sum(row["expired_by_now"] for row in last) == died
    invoice = await books.report("attention-invoice", **year)
    lifecycle = await books.report("lifecycle", **year)
    earned = whole["totals"]["granted"] + whole["totals"]["matured"]
    assert invoice["totals"]["points"] == lifecycle["totals"]["points"] == earned
    assert invoice["totals"]["acts"] == lifecycle["totals"]["acts"]
    await _deferred_revenue_ties(books, whole)
    bought = (await books.report("breakage", **year))["rows"][-1]
    assert bought["outstanding"] == sum(
        row["closing"] for row in whole["rows"] if (row["class"], row["month"]) == ("purchase", "2030-12")
    )


async def _deferred_revenue_ties(books: Books, whole: Any) -> None:
    """What a month defers, the next opens with; what the year allocated, the breakage report has."""
    months = [row for row in whole["rows"] if row["class"] == "purchase"]
    for before, after in itertools.pairwise(months):
        assert before["closing_deferred_value"] == after["opening_deferred_value"]
        parts = (after["opening_deferred_value"], after["allocated_value"], -after["released_value"])
        assert sum(parts) == after["closing_deferred_value"] > 0
    recognised = (await books.report("breakage", since=BEGIN, until=END))["rows"]
    assert [row["booked_value"] for row in recognised] == [row["closing_deferred_value"] for row in months]
    assert sum(row["allocated_value"] for row in months) == recognised[-1]["allocated_value"]
    # The value rose in June: what is owed is worth more than what was deferred for it.
    assert months[5]["closing_value"] > months[5]["closing_deferred_value"]


async def _months_follow_each_other(books: Books, whole: Any) -> None:
    """Each month opens with what the one before closed with, which is what its expiry schedule sums to, in points and money."""
    for account_class in ("engagement", "purchase"):
        months = [row for row in whole["rows"] if row["class"] == account_class]
        assert len(months) == 12
        for before, after in itertools.pairwise(months):
            assert (before["closing"], before["closing_value"]) == (after["opening"], after["opening_value"])
        for row in months[2::4]:
            day = month_end(date.fromisoformat(f"{row['month']}-01"), 0).isoformat()
            schedule = await books.report("expiry-schedule", until=day, by="class")
            (owed,) = [each for each in schedule["rows"] if each["class"] == account_class]
            assert (owed["points"], owed["value"]) == (row["closing"], row["closing_value"])
