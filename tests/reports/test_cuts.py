"""Reports between cuts: what was posted up to one is in it, and the next report begins behind it."""

from __future__ import annotations

import itertools
from typing import Any

import asyncpg
import pytest

from ledger import open_book
from tests.reports.conftest import Books, parameters, shown

SUMS = ("granted", "matured", "brought_in", "adjusted", "refunded", "redeemed", "expired", "clawed_back")


async def two_cuts(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    """At the first cut 100 points are dead that are expired behind it; the second is in the middle of a day."""
    await books.worth("2029-12-01", 1, 2)
    await books.worth("2030-02-01", 1, 3)
    await books.worth("2030-02-03", 1, 5)
    await books.fund(10_000)
    await books.grant(1, 100, "2030-01-31")
    await books.grant(1, 50)
    await books.on("2030-02-01")
    await books.ledger.take_cut(books.book, "first")
    await books.post_dues(worker_pool)
    await books.grant(2, 30)
    await books.redeem(2, 7)
    await books.on("2030-02-03")
    await books.grant(2, 11)
    await books.ledger.take_cut(books.book, "2030-02")
    await books.grant(2, 13)


async def test_a_report_between_two_cuts_has_what_was_posted_between_them(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await two_cuts(books, worker_pool)
    report = await books.report("roll-forward", since="cut:first", until="cut:2030-02", by="")
    assert [shown(row) for row in report["rows"]] == [
        {"opening": 150, "granted": 41, "redeemed": 7, "expired": 100, "closing": 84}
        | {"opening_value": 450, "granted_value": 145, "redeemed_value": 21, "expired_value": 300}
        # 73 points were owed when the value rose from 3 to 5.
        | {"revalued_value": 146, "closing_value": 420}
    ]
    assert (report["from"], report["to"]) == ("2030-02-01", "2030-02-03")
    assert report["after"] == (await books.ledger.cut_named(books.book, "first")).seq  # pyright: ignore[reportOptionalMemberAccess]
    assert report["seq"] == (await books.ledger.cut_named(books.book, "2030-02")).seq  # pyright: ignore[reportOptionalMemberAccess]
    (row,), (links,) = report["rows"], report["links"]
    assert set(links) == {"granted", "redeemed", "expired"}
    for column, path in links.items():
        assert sum(transfer["amount"] for transfer in await books.linked(path)) == row[column], column
    await books.grant(1, 1)
    assert await books.report("roll-forward", since="cut:first", until="cut:2030-02", by="") == report


async def test_a_report_begins_with_what_the_one_up_to_its_cut_ended_with(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await two_cuts(books, worker_pool)
    seq = (await books.ledger.head(books.book)).seq
    whole = (await books.report("roll-forward", until=f"cut:{seq}", since="2030-01-15"))["totals"]
    parts = [
        (await books.report("roll-forward", **ends))["totals"]
        for ends in (
            {"since": "2030-01-15", "until": "cut:first"},
            {"since": "cut:first", "until": "cut:2030-02"},
            {"since": "cut:2030-02"},
        )
    ]
    for before, after in itertools.pairwise(parts):
        assert (before["closing"], before["closing_value"]) == (after["opening"], after["opening_value"])
    assert [sum(part[name] for part in parts) for name in SUMS] == [whole[name] for name in SUMS]
    assert parts[0]["closing"] == 150
    assert parts[-1]["closing_value"] == whole["closing_value"]


async def test_a_cut_in_the_night_of_a_close_is_before_what_the_close_reckoned(
    books: Books, worker_pool: asyncpg.Pool[Any]
) -> None:
    await two_cuts(books, worker_pool)
    await books.close("2030-01-01", "2030-01-31")
    early = await books.report("roll-forward", since="2030-02-01", until="cut:first", by="")
    assert [shown(row)["closing"] for row in early["rows"]] == [150]
    late = await books.report("roll-forward", since="2030-02-01", until="cut:2030-02", by="")
    assert [(row["opening"], row["closing"]) for row in late["rows"]] == [(50, 84)]
    schedule = await books.report("expiry-schedule", until="cut:first", by="day")
    assert [(row["day"], row["points"]) for row in schedule["rows"]] == [("2030-01-31", 100), ("never", 50)]
    (link, _) = schedule["links"]
    balances = (await books.api.client("finance").get(link["points"])).json()["items"]
    assert sum(each["balance"] for each in balances if each["account"].startswith("lot:")) == 150


async def test_other_reports_up_to_a_cut(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await two_cuts(books, worker_pool)
    await books.redeem(2, 5)
    settled = await books.report("settlement", since="cut:first", until="cut:2030-02", by="")
    assert settled["totals"]["captured"] == 7
    stages = await books.report("lifecycle", since="cut:first", until="cut:2030-02")
    assert stages["totals"]["points"] == 41
    bought = await books.report("breakage", until="cut:2030-02")
    assert bought["seq"] == settled["seq"]


REFUSED = [
    ("roll-forward", {"until": "cut:none"}, "?to", "no cut 'none'"),
    ("roll-forward", {"since": "cut:other"}, "?from", "no cut 'other'"),
    ("roll-forward", {"until": "cut:99"}, "?to", "no cut '99'"),
    ("roll-forward", {"until": "cut:" + "9" * 40}, "?to", "no cut"),
    ("roll-forward", {"until": "cut:0"}, "?to", "before the book"),
    ("roll-forward", {"since": "cut:empty"}, "?from", "before the book"),
    ("roll-forward", {"until": "cut:"}, "?to", "no cut ''"),
    ("roll-forward", {"since": "cut:2", "until": "cut:1"}, "?from", "must not be after to"),
    ("roll-forward", {"since": "cut:2", "by": "campaign"}, "?from", "by campaign is kept by day"),
    ("roll-forward", {"until": "cut:2", "by": "class,origin"}, "?to", "by origin is kept by day"),
    ("vintages", {"until": "cut:2"}, "?to", "kept by day"),
    ("attention-invoice", {"until": "cut:2"}, "?to", "kept by day"),
    ("breakage", {"since": "cut:2"}, "?from", "kept by day"),
    ("expiry-schedule", {"since": "cut:2"}, "?from", "of one day"),
]


@pytest.mark.parametrize(("report", "query", "pointer", "detail"), REFUSED)
async def test_a_cut_that_there_is_not_is_refused(
    books: Books, report: str, query: dict[str, str], pointer: str, detail: str
) -> None:
    await books.ledger.take_cut(books.book, "empty")
    await books.fund(10)
    await books.grant(1, 10)
    other = await open_book(books.owner, brand_id=77, unit="PTS", time_zone="UTC", issue_limit=1)
    await books.ledger.take_cut(other, "other")
    answer = await books.api.client("finance").get(f"/v1/reports/{report}", params=parameters(query))
    assert answer.status_code == 422
    assert [(error["pointer"], detail in error["detail"]) for error in answer.json()["errors"]] == [(pointer, True)]
