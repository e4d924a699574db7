"""The roll-forward: opening and changes make the closing, in points and money, and all of it is in the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from ledger import AccountClass, Opening, event_key, import_balances
from tests.reports.conftest import Books, at, shown, verbs

SUMS = (
    "granted",
    "matured",
    "brought_in",
    "adjusted",
    "refunded",
    "redeemed",
    "expired",
    "forfeited",
    "clawed_back",
)
DEFERRED = ("opening_deferred_value", "allocated_value", "released_value", "closing_deferred_value")


async def a_winter(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    """A few weeks by hand: 150 points are earned, 20 of them spent, 80 die with January and 40 are earned in February."""
    await books.worth("2029-12-01", 100, 50)
    await books.worth("2030-02-02", 100, 100)
    await books.fund(1_000)
    await books.grant(1, 100, "2030-01-31")
    await books.grant(1, 50)
    await books.on("2030-01-20")
    redemption = await books.redeem(1, 30)
    await books.refund(redemption, 10)
    await books.on("2030-02-03")
    await books.post_dues(worker_pool)
    await books.grant(1, 40, account_class=AccountClass.PURCHASE)


async def test_what_dies_with_a_month_is_of_that_month_and_money_follows_the_value(
    books: Books, worker_pool: asyncpg.Pool[Any]
) -> None:
    await a_winter(books, worker_pool)
    report = await books.report("roll-forward", since="2030-01-15", until="2030-02-03", by="class,month")
    assert [shown(row) for row in report["rows"]] == [
        {
            "class": "engagement",
            "month": "2030-01",
            "granted": 150,
            "refunded": 10,
            "redeemed": 30,
            "expired": 80,
            "closing": 50,
            "granted_value": 75,
            "refunded_value": 5,
            "redeemed_value": 15,
            "expired_value": 40,
            "closing_value": 25,
        },
        {
            "class": "engagement",
            "month": "2030-02",
            "opening": 50,
            "closing": 50,
            "opening_value": 25,
            "revalued_value": 25,
            "closing_value": 50,
        },
        {
            "class": "purchase",
            "month": "2030-02",
            "granted": 40,
            "closing": 40,
            "granted_value": 40,
            "closing_value": 40,
            "allocated_value": 40,
            "closing_deferred_value": 40,
        },
    ]
    assert (report["totals"]["closing"], report["totals"]["closing_value"]) == (90, 90)
    assert (report["from"], report["to"], report["by"], report["currency"]) == (
        "2030-01-15",
        "2030-02-03",
        ["class", "month"],
        "EUR",
    )


async def test_each_figure_leads_to_its_transfers(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await a_winter(books, worker_pool)
    report = await books.report("roll-forward", since="2030-01-15", by="class,month")
    for row, links in zip(report["rows"], report["links"], strict=True):
        for column, path in links.items():
            assert sum(transfer["amount"] for transfer in await books.linked(path)) == row[column], (row, column)
    january = report["links"][0]
    assert set(january) == {"granted", "redeemed", "refunded", "expired"}
    assert verbs(await books.linked(january["expired"])) == {"expire"}


async def test_rounding_is_a_line_of_its_own(books: Books) -> None:
    await books.worth("2029-12-01", 3, 1)
    await books.fund(1_000)
    await books.grant(1, 4)
    await books.on("2030-01-16")
    await books.grant(1, 4)
    await books.redeem(1, 5)
    (row,) = (await books.report("roll-forward", since="2030-01-16", by=""))["rows"]
    # 4 points are worth 1 and a third, 5 are worth 1 and two thirds, 3 are worth 1.
    assert shown(row) == {
        "opening": 4,
        "granted": 4,
        "redeemed": 5,
        "closing": 3,
        "opening_value": 1,
        "granted_value": 1,
        "redeemed_value": 1,
        "closing_value": 1,
    }
    await books.grant(1, 2)
    (row,) = (await books.report("roll-forward", since="2030-01-16", by=""))["rows"]
    assert (row["opening_value"], row["granted_value"], row["redeemed_value"], row["closing_value"]) == (1, 2, 1, 1)
    assert row["rounding_value"] == -1


async def test_what_is_held_for_a_purchase_is_owed_and_what_is_held_back_is_not(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.grant(2, 70, held_back=True, due_at=at("2030-02-01"))
    await books.redeem(1, 60, captured=False)
    (row,) = (await books.report("roll-forward", by=""))["rows"]
    assert shown(row) == {"granted": 100, "closing": 100}


async def test_a_merge_moves_what_is_owed_and_changes_nothing(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.ledger.merge(books.book, loser=1, survivor=2)
    report = await books.report("roll-forward")
    assert [shown(row) for row in report["rows"]] == [{"class": "engagement", "granted": 100, "closing": 100}]
    assert [set(links) for links in report["links"]] == [{"granted"}]


def as_text(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as CSV has it."""
    return {name: "" if value is None else str(value) for name, value in row.items()}


async def test_it_is_the_same_as_csv(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await a_winter(books, worker_pool)
    report = await books.report("roll-forward", since="2030-01-15")
    rows = await books.csv("roll-forward", since="2030-01-15")
    assert rows[:-1] == [as_text(row) for row in report["rows"]]
    assert rows[-1] == {"class": "total"} | as_text(report["totals"])


async def test_a_report_that_does_not_tie_is_refused(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.owner.execute("UPDATE ledger.account SET credits = credits + 1 WHERE kind = 1")
    answer = await books.api.client("finance").get("/v1/reports/roll-forward")
    assert (answer.status_code, answer.json()["code"]) == (500, "report_does_not_tie")
    assert "1,100" in answer.json()["detail"]


async def test_a_brand_without_a_point_value_has_points_alone(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    (row,) = (await books.report("roll-forward", by=""))["rows"]
    assert shown(row) == {"granted": 100, "closing": 100}
    assert row["closing_value"] is None


async def test_what_is_due_counts_before_it_is_posted(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.fund(1_000)
    await books.grant(1, 100, "2030-01-31")
    await books.grant(1, 30, "2030-02-28")
    await books.on("2030-02-01", 0)
    reckoned = await books.report("roll-forward", since="2030-01-15", until="2030-01-31")
    assert [shown(row) for row in reckoned["rows"]] == [{"class": "engagement", "granted": 130, "expired": 100, "closing": 30}]
    await books.post_dues(worker_pool)
    posted = await books.report("roll-forward", since="2030-01-15", until="2030-01-31")
    assert (posted["rows"], posted["totals"]) == (reckoned["rows"], reckoned["totals"])
    assert "expired" in posted["links"][0]


async def test_by_campaign_and_channel_points_are_followed_from_their_grants(
    books: Books, worker_pool: asyncpg.Pool[Any]
) -> None:
    await books.worth("2029-12-01", 100, 50)
    await books.fund(1_000)
    await books.grant(1, 100, channel="sms")
    await books.grant(1, 20)
    await books.grant(2, 6, "2030-01-31")
    await books.redeem(1, 110)
    await books.on("2030-02-03")
    await books.post_dues(worker_pool)
    await books.attribute(worker_pool)
    report = await books.report("roll-forward", since="2030-01-15", by="campaign,channel,month")
    email = {"campaign": "=autumn", "channel": "email"}
    assert [shown(row) for row in report["rows"]] == [
        email
        | {"month": "2030-01", "granted": 26, "redeemed": 10, "expired": 6, "closing": 10}
        | {"granted_value": 13, "redeemed_value": 5, "expired_value": 3, "closing_value": 5},
        email | {"month": "2030-02", "opening": 10, "closing": 10, "opening_value": 5, "closing_value": 5},
        {"campaign": "=autumn", "channel": "sms", "month": "2030-01", "granted": 100, "redeemed": 100}
        | {"granted_value": 50, "redeemed_value": 50},
    ]
    for row, links in zip(report["rows"], report["links"], strict=True):
        for column, path in links.items():
            assert sum(transfer["amount"] for transfer in await books.linked(path)) == row[column]
    whole = await books.report("roll-forward", since="2030-01-15", by="")
    assert {name: value for name, value in whole["totals"].items() if "deferred" not in name}.items() >= {
        name: value for name, value in report["totals"].items() if value is not None
    }.items()


async def test_what_is_redeemed_out_of_the_opening_balance_is_told(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.redeem(1, 20)
    await books.on("2030-02-01")
    await books.grant(1, 50)
    await books.redeem(1, 95)
    await books.attribute(worker_pool)
    report = await books.report("roll-forward", since="2030-02-01", by="origin")
    assert [shown(row) for row in report["rows"]] == [
        {"origin": "opening", "opening": 80, "redeemed": 80},
        {"origin": "period", "granted": 50, "redeemed": 15, "closing": 35},
    ]
    (links,) = report["links"][1:]
    assert sum(transfer["amount"] for transfer in await books.linked(links["granted"])) == 50


async def test_a_period_that_is_not_attributed_to_its_end_has_no_report_yet(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.on("2030-01-16")
    query = {"to": "2030-01-15", "by": "campaign"}
    answer = await books.api.client("finance").get("/v1/reports/roll-forward", params=query)
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (409, "not_attributed_yet", True)


async def test_what_a_closed_month_says_is_the_same_ever_after(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await a_winter(books, worker_pool)
    months = ({"since": "2030-01-15", "until": "2030-01-31"}, {"since": "2030-02-01", "until": "2030-02-03"})
    open_january, open_february = [await books.report("roll-forward", **month) for month in months]
    await books.close("2030-01-01", "2030-01-31")
    january, february = [await books.report("roll-forward", **month) for month in months]
    assert (january["rows"], january["totals"]) == (open_january["rows"], open_january["totals"])
    assert (february["rows"], february["totals"]) == (open_february["rows"], open_february["totals"])
    assert january["seq"] < february["seq"]
    await books.grant(1, 3)
    await books.on("2030-03-01")
    await books.post_dues(worker_pool)
    await books.close("2030-02-01", "2030-02-28")
    assert await books.report("roll-forward", **months[0]) == january
    await books.attribute(worker_pool)
    others = [("roll-forward", "campaign"), ("vintages", ""), ("breakage", "class,month"), ("settlement", "day")]
    said = [await books.report(name, **months[0], by=by) for name, by in others]
    schedule = await books.report("expiry-schedule", until="2030-01-31")
    await books.redeem(1, 5)
    await books.attribute(worker_pool)
    assert [await books.report(name, **months[0], by=by) for name, by in others] == said
    assert await books.report("expiry-schedule", until="2030-01-31") == schedule
    both = await books.report("roll-forward", since="2030-01-15", until="2030-02-28", by="month")
    assert [(row["opening"], row["closing"]) for row in both["rows"]] == [(0, 50), (50, 93)]


async def test_deferred_revenue_keeps_its_price_when_points_get_another_value(
    books: Books, worker_pool: asyncpg.Pool[Any]
) -> None:
    bought: dict[str, Any] = {"account_class": AccountClass.PURCHASE}
    await import_balances(
        books.owner, books.book, [Opening(2, 30, None, AccountClass.PURCHASE)], hashes=[bytes(32)], rows=1, points=30
    )
    await books.fund(1_000)
    await books.worth("2030-01-20", 1, 2)
    await books.worth("2030-02-10", 1, 5)
    await books.on("2030-01-20")
    await books.grant(1, 50, "2030-02-20", **bought)
    await books.on("2030-02-12")
    await books.ledger.take_cut(books.book, "middle")
    await books.grant(1, 20, **bought)
    redemption = await books.redeem(1, 60)
    await books.refund(redemption, 10)
    await books.on("2030-03-01")
    await books.post_dues(worker_pool)
    january, february = [
        shown(row)
        for row in (await books.report("roll-forward", since="2030-01-15", until="2030-02-28", by="class,month"))["rows"]
    ]
    # 80 points at 2 are deferred when they get a value; then 20 at 5, and 100 points are left at 260.
    assert (january["allocated_value"], january["closing_deferred_value"], january["closing_value"]) == (160, 160, 160)
    assert (february["allocated_value"], february["opening_deferred_value"]) == (100, 160)
    assert february["closing"] == 50
    assert (february["closing_deferred_value"], february["closing_value"], february["released_value"]) == (130, 250, 130)
    recognised = (await books.report("breakage", since="2030-01-15", until="2030-02-28"))["rows"]
    assert [(row["allocated_value"], row["booked_value"]) for row in recognised] == [(160, 160), (260, 130)]
    (behind,) = (await books.report("roll-forward", since="cut:middle", by=""))["rows"]
    assert [behind[name] for name in DEFERRED] == [160, 100, 130, 130]


async def test_late_acts_have_a_line_of_their_own(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.worth("2029-12-01", 1, 2)
    await books.fund(1_000)
    await books.grant(1, 100, at=at("2030-01-15"))
    await books.on("2030-02-01")
    await books.post_dues(worker_pool)
    await books.close("2030-01-01", "2030-01-31")
    # Half past eleven in Berlin, and half past twelve.
    for when, points in {"2030-01-30T12:00": 30, "2030-01-31T22:30": 5, "2030-01-31T23:30": 7, "2030-02-01T12:00": 11}.items():
        await books.grant(2, points, at=datetime.fromisoformat(f"{when}:00+00:00"))
    await books.grant(3, 50, held_back=True, at=at("2030-01-31"), due_at=at("2030-03-31"))
    key = event_key(
        campaign_no=books.campaign_no, message_id=f"message {books.messages}", customer=3, action="click", qualifier=""
    )
    await books.ledger.mature(books.book, books.campaign_no, key, expires_on=None)
    await books.redeem(2, 4)
    february = {"since": "2030-02-01", "until": "2030-02-01"}
    report = await books.report("roll-forward", **february, by="class,acted")
    assert [shown(row) for row in report["rows"]] == [
        {"class": "engagement", "opening": 100, "matured": 50, "redeemed": 4, "closing": 146}
        | {"opening_value": 200, "matured_value": 100, "redeemed_value": 8, "closing_value": 292},
        {"class": "engagement", "acted": "before", "granted": 35, "closing": 35, "granted_value": 70, "closing_value": 70},
        {"class": "engagement", "acted": "period", "granted": 18, "closing": 18, "granted_value": 36, "closing_value": 36},
    ]
    assert report["totals"] == (await books.report("roll-forward", **february, by="class"))["totals"]
    for row, links in zip(report["rows"], report["links"], strict=True):
        assert set(links) == {name for name in SUMS if row[name]}
        for column, path in links.items():
            assert sum(transfer["amount"] for transfer in await books.linked(path)) == row[column], (row, column)
    # In a report on both months nothing is late.
    both = await books.report("roll-forward", since="2030-01-15", until="2030-02-01", by="acted,month")
    assert {row["acted"] for row in both["rows"]} == {"", "period"}
    answer = await books.api.client("finance").get("/v1/reports/roll-forward", params={"by": "acted,campaign"})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["?by"]
