"""Reports read what is added up by day. They say what the whole log says, however much of it is added up by then."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import asyncpg

from ledger import month_end
from service.http.periods import Period
from service.reports.asked import Asked, as_of_now
from service.reports.attributed import attributed
from service.reports.reading import read
from tests.reports import plain_reports
from tests.reports.conftest import Books, parameters
from tests.reports.test_a_year import BEGIN, a_year

FIRST, LAST = date.fromisoformat(BEGIN), date(2030, 12, 31)
REPORTS = [
    ("roll-forward", "class,month"),
    ("roll-forward", "class,campaign,channel,origin,month"),
    ("roll-forward", "channel"),
    ("roll-forward", "origin"),
    ("vintages", "class,campaign,channel"),
    ("vintages", ""),
    ("breakage", "class,month"),
    ("attention-invoice", "campaign,channel,action,grade,month"),
]
KEEP = "SELECT ledger.keep_movements_v1($1, $2, $3)"
FORGET = ["DELETE FROM ledger.daily_movement", "UPDATE ledger.layer_reader SET daily_seq = 0"]


def some_periods(chance: random.Random, number: int) -> list[tuple[date, date]]:
    """Months, and days that begin and end anywhere."""
    periods = [(FIRST, LAST), (date(2030, 3, 1), date(2030, 5, 31)), (date(2030, 7, 17), date(2030, 7, 17))]
    for _ in range(number):
        days = sorted(chance.sample(range((LAST - FIRST).days), 2))
        periods.append((FIRST + timedelta(days=days[0]), FIRST + timedelta(days=days[1])))
    return periods


async def all_reports(books: Books, periods: list[tuple[date, date]]) -> list[Any]:
    return [
        await books.report(name, since=begin.isoformat(), until=end.isoformat(), by=by)
        for name, by in REPORTS
        for begin, end in periods
    ]


async def test_reports_say_the_same_however_much_is_added_up(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await a_year(books, worker_pool)
    await books.post_dues(worker_pool)
    for month in (1, 2, 3):
        begin = date(2030, month, 1)
        await books.close(begin.isoformat(), month_end(begin, 0).isoformat())
    await books.attribute(worker_pool)
    periods = [*some_periods(random.Random(7), 1), (date(2030, 2, 1), date(2030, 2, 28)), (date(2030, 2, 9), date(2030, 3, 31))]
    from_days = await all_reports(books, periods)
    for statement in FORGET:
        await books.owner.execute(statement)
    assert await all_reports(books, periods) == from_days
    head = (await books.ledger.head(books.book)).seq
    left = head
    while left:
        left = await worker_pool.fetchval(KEEP, books.book.brand_id, books.book.book_id, head // 2)
        assert await all_reports(books, periods) == from_days


async def test_reports_by_grant_say_what_the_whole_log_says(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await a_year(books, worker_pool)
    await books.post_dues(worker_pool)
    await books.attribute(worker_pool)
    log = await books.ledger.transfers(books.book, after=0, cut=(await books.ledger.head(books.book)).seq)
    events = await books.owner.fetch("SELECT campaign_no, key, channel FROM ledger.event")
    moved = plain_reports.moved(log, {(campaign, key): channel for campaign, key, channel in events})
    for begin, end in some_periods(random.Random(8), 10):
        period = {"since": begin.isoformat(), "until": end.isoformat()}
        told = await books.report("roll-forward", **period, by="class,channel,origin")
        assert {
            (row["class"], row["channel"], row["origin"]): {
                name: row[name] for name in ("opening", *plain_reports.COLUMNS.values(), "closing") if row[name]
            }
            for row in told["rows"]
        } == plain_reports.roll_forward(moved, begin, end), (begin, end)
        told = await books.report("vintages", **period, by="channel")
        assert {
            (row["channel"], row["issued_in"], row["age_months"]): (row["issued"], row["redeemed"], row["expired"])
            for row in told["rows"]
        } == plain_reports.vintages(moved, begin, end), (begin, end)


async def test_what_is_added_up_while_a_report_is_made_is_in_it(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    """A report that began before the last transfer finds it among the days."""
    await books.fund(1_000)
    await books.grant(1, 100)
    services, brand = books.api.services, books.api.brand
    before = await as_of_now(services, brand)
    await books.grant(1, 20)
    await books.attribute(worker_pool)
    head = (await books.ledger.head(books.book)).seq
    asked = Asked(services, brand, before, FIRST, Period(FIRST, FIRST), ("class",))
    for reading in (await read(asked), (await attributed(asked, by_day_of_issue=True)).reading):
        assert reading.seq == head
        assert sum(line.balance for line in reading.trial_balance.lines if line.kind == "lot") == 120
        assert sum(movement.points for movement in reading.movements) == 120


async def test_while_layers_are_built_again_the_log_is_read(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.redeem(1, 30)
    await books.attribute(worker_pool)
    said = await books.report("roll-forward")
    await books.owner.execute("UPDATE ledger.daily_movement SET points = points + 1")
    await books.owner.execute("UPDATE ledger.layer_reader SET clearing = true")
    assert await books.report("roll-forward") == said
    answer = await books.api.client("finance").get("/v1/reports/roll-forward", params=parameters({"by": "campaign"}))
    assert (answer.status_code, answer.json()["code"]) == (409, "not_attributed_yet")


async def test_days_that_are_not_what_the_log_says_make_no_report(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.attribute(worker_pool)
    await books.owner.execute("UPDATE ledger.daily_movement SET points = points + 1")
    for name, by in REPORTS:
        if name != "breakage":
            answer = await books.api.client("finance").get(f"/v1/reports/{name}", params={"by": by})
            assert (answer.status_code, answer.json()["code"]) == (500, "report_does_not_tie"), (name, by)
