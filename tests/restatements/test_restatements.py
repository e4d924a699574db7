"""Restating a closed period: by two persons, in money alone, and every version of it stays what it was."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from ledger import AccountClass, Cut, PointValue
from service.approvals.actions import carry_out
from service.approvals.queries import find_approval
from service.auth.roles import Role
from service.export_jobs.making import book_at_cut
from service.exports import bundle
from service.exports.account_codes import AccountCode, account_codes
from service.exports.bundle import ExportFormat
from service.restatements.overlay import codes_with, values_by_day
from service.restatements.queries import RestatedValue, Restatement
from service.services import APPROVAL_KINDS
from tests.api_fixtures import Api
from tests.approvals.test_approvals import Owner, approve_only, decide, tools
from tests.people import client_of
from tests.reports.conftest import Books

# The fixture is the reports' own.
from tests.reports.conftest import books as books
from tests.statements_sent import statements_sent

REASON = "It was entered ten times too low."
REPORTS = ("roll-forward", "expiry-schedule", "breakage", "attention-invoice", "lifecycle", "settlement")
ESTIMATE = {"kind": "expected_redemption", "class": "purchase", "value": 5_000, "method": "by hand"}


class Closed(NamedTuple):
    """January and February are closed, and it is March."""

    books: Books
    maker: httpx.AsyncClient
    checker: httpx.AsyncClient

    async def restate(self, period: str, **wanted: Any) -> httpx.Response:
        return await self.maker.post(f"/v1/closes/{period}/restate", json={"reason": REASON, **wanted})

    async def restated(self, period: str, **wanted: Any) -> dict[str, Any]:
        answer = await self.restate(period, **wanted)
        assert answer.status_code == 202, answer.text
        done = (await decide(self.checker, answer.json())).json()
        assert done["state"] == "executed", done
        return done["result"]

    async def said(self, report: str, period: str, **query: Any) -> bytes:
        sent = {"to": period} if report == "expiry-schedule" else {"from": period, "to": period}
        answer = await self.maker.get(f"/v1/reports/{report}", params={**sent, **query})
        assert answer.status_code == 200, answer.text
        return answer.content

    async def report(self, report: str, period: str, **query: Any) -> dict[str, Any]:
        return json.loads(await self.said(report, period, **query))

    async def everything(self, *periods: str, **query: Any) -> dict[tuple[str, str], bytes]:
        said = {(name, period): await self.said(name, period, **query) for name in REPORTS for period in periods}
        closes = {("close", period): (await self.maker.get(f"/v1/closes/{period}", params=query)).content for period in periods}
        return {**said, **closes}


@pytest.fixture
async def closed(api: Api, owner: Owner, books: Books, worker_pool: asyncpg.Pool[Any]) -> Closed:
    maker, checker = [await client_of(api, owner, role, name=role) for role in (Role.FINANCE, Role.APPROVER)]
    await books.worth("2029-12-01", 100, 50)
    await books.fund(10_000)
    await books.grant(1, 1_000)
    await books.grant(2, 400, account_class=AccountClass.PURCHASE)
    await books.redeem(2, 100)
    await books.on("2030-02-03")
    await books.post_dues(worker_pool)
    await books.close("2030-01-01", "2030-01-31")
    await books.grant(1, 600)
    await books.redeem(1, 200)
    await books.on("2030-03-04")
    await books.post_dues(worker_pool)
    await books.close("2030-02-01", "2030-02-28")
    await books.grant(1, 10)
    return Closed(books, maker, checker)


def values(*changes: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [{"starts_on": day, "points": points, "minor_units": minor} for day, points, minor in changes]


async def test_closes_are_listed_by_their_newest_versions_with_one_question(
    closed: Closed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await closed.restated("2030-02", values=values(("2030-02-01", 10, 50)))
    await closed.restated("2030-01", values=values(("2030-01-01", 10, 50)))
    sent = statements_sent(monkeypatch, lambda statement: "close_version" in statement)
    listed = (await closed.maker.get("/v1/closes")).json()["items"]
    assert len(sent) == 1
    assert [(each["period"], each["version"]) for each in listed] == [("2030-02", 3), ("2030-01", 2)]
    assert listed == [(await closed.maker.get(f"/v1/closes/{each['period']}")).json() for each in listed]


async def test_a_restated_period_has_another_version_and_the_first_says_what_it_said(closed: Closed) -> None:
    before = await closed.everything("2030-01", "2030-02")
    answer = await closed.restate("2030-01", values=values(("2030-01-01", 10, 50)))
    waits = answer.json()
    assert (answer.status_code, waits["kind"], waits["exceeds"], waits["subject"]) == (
        202,
        "close.restate",
        "always",
        "2030-01 version 2",
    )
    assert await closed.everything("2030-01", "2030-02") == before
    done = (await decide(closed.checker, waits)).json()
    assert done["result"] == {"period": "2030-01", "version": 2, "restatements": 1}
    assert await closed.everything("2030-01", "2030-02", version=1) == before
    january = await closed.report("roll-forward", "2030-01")
    assert (january["version"], january["totals"]["closing"], january["totals"]["closing_value"]) == (2, 1_300, 6_500)
    after = await closed.everything("2030-01", "2030-02")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == set(before), "each says its version"
    assert await closed.everything("2030-01", "2030-02", version=2) == after


async def test_points_are_never_restated(closed: Closed) -> None:
    before = [await closed.report(name, "2030-01") for name in REPORTS]
    await closed.restated("2030-01", values=values(("2030-01-10", 1, 7)))
    for old in before:
        new = await closed.report(old["report"], "2030-01")
        for column in (each["name"] for each in old["columns"] if each["unit"] in {"points", "count", "text", "date"}):
            assert [row[column] for row in new["rows"]] == [row[column] for row in old["rows"]], (old["report"], column)
        assert new["checks"] == old["checks"]


async def test_the_closing_of_a_period_is_the_opening_of_the_next_in_every_version(closed: Closed) -> None:
    await closed.restated("2030-01", values=values(("2030-01-01", 10, 50), ("2030-01-20", 20, 50)))
    for version in (1, 2):
        january, february = [
            (await closed.report("roll-forward", period, version=version))["totals"] for period in ("2030-01", "2030-02")
        ]
        for unit in ("", "_value"):
            assert january[f"closing{unit}"] == february[f"opening{unit}"]
    february = (await closed.report("roll-forward", "2030-02"))["totals"]
    march = await closed.report("roll-forward", "2030-03-04")
    assert (march["version"], march["totals"]["opening_value"]) == (None, february["closing_value"])


async def test_what_is_restated_applies_until_another_value_was_set(closed: Closed) -> None:
    await closed.books.worth("2030-02-10", 100, 200)
    await closed.restated("2030-01", values=values(("2030-01-01", 10, 50)))
    row = (await closed.report("roll-forward", "2030-02"))["totals"]
    # 1,300 points of 5, then 1,700 of 2: what was earned and spent on the third counts by the restated value.
    assert (row["opening_value"], row["granted_value"], row["closing_value"]) == (6_500, 3_000, 3_400)


async def test_a_restatement_leaves_the_periods_before_it_alone_and_each_has_its_versions(closed: Closed) -> None:
    await closed.restated("2030-01", values=values(("2030-01-01", 10, 50)))
    january = await closed.everything("2030-01")
    february = await closed.everything("2030-02")
    done = await closed.restated("2030-02", values=values(("2030-02-01", 10, 70)))
    assert done == {"period": "2030-02", "version": 3, "restatements": 2}
    assert await closed.everything("2030-01") == january
    assert await closed.everything("2030-02", version=2) == february
    listed = (await closed.maker.get("/v1/closes")).json()["items"]
    assert [(each["period"], each["version"], each["restatements"]) for each in listed] == [
        ("2030-02", 3, 2),
        ("2030-01", 2, 1),
    ]


async def test_a_period_that_is_closed_later_has_all_restatements_in_its_first_version(
    closed: Closed, worker_pool: asyncpg.Pool[Any]
) -> None:
    await closed.restated("2030-02", values=values(("2030-02-01", 10, 70)))
    await closed.books.on("2030-04-02")
    await closed.books.post_dues(worker_pool)
    await closed.books.close("2030-03-01", "2030-03-31")
    march, february = [await closed.report("roll-forward", period) for period in ("2030-03", "2030-02")]
    assert (march["version"], february["version"]) == (1, 2)
    assert march["totals"]["opening_value"] == february["totals"]["closing_value"]
    shown = (await closed.maker.get("/v1/closes/2030-03")).json()
    assert (shown["version"], shown["restatements"]) == (1, 1)


async def test_an_estimate_is_restated(closed: Closed) -> None:
    before = await closed.said("breakage", "2030-01")
    done = await closed.restated("2030-01", estimates=[ESTIMATE])
    assert done["version"] == 2
    (row,) = (await closed.report("breakage", "2030-01"))["rows"]
    assert (row["estimate"], row["expected_percent"], row["recognised_value"]) == (1, "50.00", 100)
    assert await closed.said("breakage", "2030-01", version=1) == before
    (recorded,) = (await closed.maker.get("/v1/estimates")).json()["items"]
    assert (recorded["effective_on"], recorded["restatement"]) == ("2030-01-01", 1)
    (restatement,) = (await closed.maker.get("/v1/restatements")).json()["items"]
    assert (restatement["period"], restatement["reason"], restatement["estimates"]) == ("2030-01", REASON, [1])


async def test_what_is_estimated_or_set_later_changes_no_report_of_before(closed: Closed) -> None:
    """Nor by a restatement of a later period."""
    before = await closed.everything("2030-01")
    engagement = {"kind": "expected_redemption", "class": "engagement", "value": 100, "method": "x"}
    (await closed.maker.post("/v1/estimates", json=engagement)).raise_for_status()
    await closed.restated("2030-02", estimates=[engagement], values=values(("2030-02-01", 1, 1)))
    assert await closed.everything("2030-01") == before


async def test_an_export_has_as_many_restatements_as_it_is_ordered_with(closed: Closed, api: Api, tmp_path: Path) -> None:
    head = await closed.books.ledger.head(api.brand.book)
    services = api.services

    async def files(cut: Cut, name: str, restated: int) -> dict[str, bytes]:
        codes = account_codes([AccountCode("Expenses", "6000")])
        book = await book_at_cut(services.pool, services.engine, api.brand, cut, codes=codes, restated=restated)
        await bundle.write(book, bundle.writers_of([ExportFormat.SUMMARY, ExportFormat.HLEDGER]), tmp_path / name)
        return {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}

    before = await files(head, "before", 0)
    code = {"account": "Expenses", "code": "6999", "valid_from": "2030-01-31"}
    await closed.restated("2030-01", values=values(("2030-01-01", 10, 50)), account_codes=[code])
    assert await files(head, "again", 0) == before
    after = await files(head, "after", 1)
    assert {name for name in after if after[name] != before[name]} == set(before)
    told = json.loads(after["manifest.json"])
    assert (told["restatements"], "restatements" in json.loads(before["manifest.json"])) == (1, False)
    rows = after["summary.csv"].decode().splitlines()
    assert {row.split(",")[0] for row in rows if ",6999" in row} == {"2030-02-03", "2030-03-04"}
    assert {row.split(",")[0] for row in rows if ",6000" in row} == {"2030-01-15"}
    ordered = (await closed.maker.post("/v1/exports", json={"formats": ["summary"]})).json()
    earlier = (await closed.maker.post("/v1/exports", json={"formats": ["summary"], "restatements": 0})).json()
    assert (ordered["restatements"], earlier["restatements"]) == (1, 0)
    more = await closed.maker.post("/v1/exports", json={"formats": ["summary"], "restatements": 2})
    assert (more.status_code, more.json()["errors"][0]["pointer"]) == (422, "/restatements")


async def test_an_approved_restatement_is_made_once(closed: Closed, owner: Owner, api: Api) -> None:
    waits = (await closed.restate("2030-01", values=values(("2030-01-01", 10, 50)))).json()
    await approve_only(api, owner, closed.checker, waits)
    approved = await find_approval(api.services.engine, api.brand.brand_id, int(waits["id"].removeprefix("apr_")))
    assert approved is not None
    await asyncio.gather(*(carry_out(tools(api), APPROVAL_KINDS, approved) for _ in range(3)))
    assert (await decide(closed.checker, waits)).json()["state"] == "executed"
    assert await owner.fetchval("SELECT count(*) FROM rewards.restatement") == 1
    entries = (await api.client("admin").get("/v1/audit-trail?limit=1000")).json()["items"]
    (entry,) = [entry for entry in entries if entry["act"] == "close.restate"]
    assert (entry["subject"], entry["after"]["reason"], entry["after"]["with"]) == (
        "2030-01",
        REASON,
        ["2030-01-31", "2030-02-28"],
    )


CODE = {"account": "Expenses", "code": "1", "valid_from": "2030-01-01"}
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("2030-03", {"values": values(("2030-03-01", 1, 1))}, 404, ""),
    ("2030-01-31", {"values": values(("2030-01-31", 1, 1))}, 404, ""),
    ("nonsense", {"values": values(("2030-01-31", 1, 1))}, 404, ""),
    ("2030-01", {}, 422, "/values"),
    ("2030-01", {"values": values(("2030-02-01", 1, 1))}, 422, "/values/0/starts_on"),
    ("2030-01", {"values": values(("2030-01-01", 1, 1), ("2030-01-01", 1, 2))}, 422, "/values/1/starts_on"),
    ("2030-01", {"values": values(("2030-01-01", 0, 1))}, 422, "/values/0/points"),
    ("2030-01", {"estimates": [ESTIMATE | {"effective_on": "2029-12-31"}]}, 422, "/estimates/0/effective_on"),
    ("2030-01", {"estimates": [ESTIMATE | {"value": 10_001}]}, 422, "/estimates/0/value"),
    (
        "2030-01",
        {"account_codes": [{"account": "x", "code": "1", "valid_from": "2030-01-01"}]},
        422,
        "/account_codes/0/account",
    ),
    (
        "2030-01",
        {"account_codes": [{"account": "Expenses", "code": "1", "valid_from": "2030-02-01"}]},
        422,
        "/account_codes/0/valid_from",
    ),
    ("2030-01", {"points": 5}, 422, "/points"),
]


async def test_what_cannot_be_restated_is_refused_by_name(closed: Closed) -> None:
    for period, wanted, status, pointer in REFUSED:
        answer = await closed.restate(period, **wanted)
        assert answer.status_code == status, (period, wanted, answer.text)
        assert [error["pointer"] for error in answer.json().get("errors", [])][:1] == ([pointer] if pointer else [])
    assert (await closed.maker.get("/v1/approvals")).json()["items"] == []


async def test_a_version_that_there_is_not_is_refused(closed: Closed) -> None:
    for path, query in itertools.product(("/v1/reports/roll-forward", "/v1/closes/2030-01"), ({"version": 2}, {"version": 0})):
        sent = {"from": "2030-01", "to": "2030-01", **query} if "reports" in path else query
        answer = await closed.maker.get(path, params=sent)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?version"), path
    open_ = await closed.maker.get("/v1/reports/roll-forward", params={"to": "2030-03-04", "version": 1})
    assert (open_.status_code, open_.json()["errors"][0]["pointer"]) == (422, "?version")


async def test_open_approvals_are_on_the_checklist(closed: Closed) -> None:
    async def count() -> int:
        items = (await closed.maker.get("/v1/closes/2030-03/checklist")).json()["items"]
        return next(item["count"] for item in items if item["code"] == "approvals_open")

    assert await count() == 0
    waits = (await closed.restate("2030-01", values=values(("2030-01-01", 10, 50)))).json()
    assert await count() == 1
    await decide(closed.checker, waits)
    assert await count() == 0


def test_a_restated_value_comes_over_one_of_its_day_and_the_later_restatement_over_both() -> None:
    first, last = date(2030, 1, 1), date(2030, 1, 20)
    set_ = {first: PointValue(1, 1), last: PointValue(1, 2)}
    restated = [_restatement(RestatedValue(first, 1, 3)), _restatement(RestatedValue(first, 1, 4), RestatedValue(last, 1, 5))]
    assert values_by_day(set_, []) == set_
    assert values_by_day(set_, restated[:1]) == {first: PointValue(1, 3), last: PointValue(1, 2)}
    assert list(values_by_day(set_, restated).items()) == [(first, PointValue(1, 4)), (last, PointValue(1, 5))]


def _restatement(*point_values: RestatedValue, account_codes: tuple[AccountCode, ...] = ()) -> Restatement:
    return Restatement(
        restatement_no=1,
        begins_on=date(2030, 1, 1),
        ends_on=date(2030, 1, 31),
        reason="",
        point_values=point_values,
        account_codes=account_codes,
        approval_no=1,
        made_at=datetime(2030, 2, 1, tzinfo=UTC),
    )


def test_codes_of_a_restatement_come_over_those_of_an_export() -> None:
    over = _restatement(account_codes=(AccountCode("Income", "9"),))
    ordered = account_codes([AccountCode("Income", "1"), AccountCode("Expenses", "2")])
    assert codes_with(ordered, []) is ordered
    assert codes_with(ordered, [over]) == account_codes([AccountCode("Income", "9"), AccountCode("Expenses", "2")])


async def test_no_role_changes_a_restatement(owner: Owner, database: Any, closed: Closed) -> None:
    await closed.restated("2030-01", values=values(("2030-01-01", 10, 50)))
    for role in ("rewards_application", "rewards_worker", "rewards_reader"):
        for forgery in ("UPDATE rewards.restatement SET reason = 'x'", "DELETE FROM rewards.close_version"):
            async with owner.transaction():
                await owner.execute(f"SET LOCAL ROLE {role}")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with owner.transaction():
                        await owner.execute(forgery)
