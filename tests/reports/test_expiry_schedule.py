"""The expiry schedule sums to what is owed, whenever expiries are posted."""

from __future__ import annotations

from typing import Any

import asyncpg

from ledger import AccountClass
from tests.reports.conftest import Books, shown


async def test_it_is_what_is_owed_by_last_day(books: Books) -> None:
    await books.worth("2029-12-01", 3, 1)
    await books.fund(1_000)
    await books.grant(1, 100, "2030-01-31")
    await books.grant(2, 30, "2030-03-31")
    await books.grant(2, 7)
    await books.grant(3, 20, "2031-06-30", account_class=AccountClass.PURCHASE)
    await books.redeem(1, 40, captured=False)
    report = await books.report("expiry-schedule")
    assert [shown(row) for row in report["rows"]] == [
        {"class": "engagement", "band": "up to 30 days", "spendable": 60, "held": 40, "points": 100, "value": 33},
        {"class": "engagement", "band": "31 to 90 days", "spendable": 30, "points": 30, "value": 10},
        {"class": "engagement", "band": "never", "spendable": 7, "points": 7, "value": 2},
        {"class": "purchase", "band": "more than 365 days", "spendable": 20, "points": 20, "value": 6},
    ]
    assert report["totals"] == {"spendable": 117, "held": 40, "points": 157, "value": 52}
    by_day = await books.report("expiry-schedule", by="day")
    assert [(row["day"], row["points"]) for row in by_day["rows"]] == [
        ("2030-01-31", 100),
        ("2030-03-31", 30),
        ("2031-06-30", 20),
        ("never", 7),
    ]


async def test_a_day_that_is_over_keeps_its_schedule(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.fund(1_000)
    await books.grant(1, 100, "2030-01-31")
    await books.grant(1, 30, "2030-02-28")
    before = await books.report("expiry-schedule", until="2030-01-15", by="day")
    await books.on("2030-02-01")
    reckoned = await books.report("expiry-schedule", until="2030-01-31", by="day")
    assert [shown(row) for row in reckoned["rows"]] == [{"day": "2030-02-28", "spendable": 30, "points": 30}]
    await books.post_dues(worker_pool)
    posted = await books.report("expiry-schedule", until="2030-01-31", by="day")
    assert posted["rows"] == reckoned["rows"]
    await books.close("2030-01-01", "2030-01-31")
    await books.on("2030-02-02")
    await books.grant(1, 7, "2030-02-28")
    assert (await books.report("expiry-schedule", until="2030-01-31", by="day"))["rows"] == reckoned["rows"]
    again = await books.report("expiry-schedule", until="2030-01-15", by="day")
    assert again["rows"] == before["rows"]
    assert [row["points"] for row in before["rows"]] == [100, 30]


async def test_it_is_of_one_day(books: Books) -> None:
    answer = await books.api.client("finance").get("/v1/reports/expiry-schedule", params={"from": "2030-01-15"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?from")
