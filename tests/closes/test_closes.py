"""Closing the books of a month over HTTP, and what must be done before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import sweep
from ledger.testing import order, set_clock
from service.auth.audit_trail import list_entries
from service.closes.close_keeper import CloseKeeper
from service.storage.database import WORKER_ROLE, create_engine
from service.storage.spool_watch.reports import SILENT_AFTER, SpoolReports
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.finance.conftest import Till, make_campaign

DECEMBER = date(2029, 12, 31)
MIDNIGHT = datetime(2029, 12, 31, 23, tzinfo=UTC)
"""The end of December in the brand's zone."""


@pytest.fixture
async def till(api: Api, owner: asyncpg.Connection[Any]) -> Till:
    """Posts to the book of the API's brand, shortly before a new year: some points die with the old one."""
    till = Till(api.services.ledger, api.brand.book, await make_campaign(owner, api.brand))
    await set_clock(owner, till.book, MIDNIGHT - timedelta(hours=1))
    await till.fund(1_000)
    await till.grant(1, 100, expires_on=DECEMBER)
    await till.grant(2, 30)
    await till.authorize(2, 10, hold_s=7200)
    return till


@pytest.fixture
async def over(owner: asyncpg.Connection[Any], till: Till) -> Till:
    """The same, five minutes after midnight."""
    await set_clock(owner, till.book, MIDNIGHT + timedelta(minutes=5))
    return till


async def close(api: Api, period: str, **body: Any) -> Any:
    return await api.client("finance").post("/v1/closes", json={"period": period, **body})


async def get(api: Api, path: str, **query: Any) -> Any:
    answer = await api.client("finance").get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("over")
async def test_a_month_is_closed_at_five_past_midnight(api: Api) -> None:
    made = await close(api, "2029-12")
    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown | {"digests": None, "closed_at": None, "totals": None} == {
        "period": "2029-12",
        "version": 1,
        "restatements": 0,
        "state": "closed",
        "begins_on": "2029-12-01",
        "ends_on": "2029-12-31",
        "ends_at": "2029-12-31T23:00:00Z",
        "closed_at": None,
        "seq": 4,
        "settled_seq": None,
        "totals": None,
        "accounts": 5,
        "customers": 1,
        "digests": None,
    }
    totals = shown["totals"]
    assert (totals["points_owed"], totals["debits"] == totals["credits"]) == (30, True)
    assert {each["kind"]: each["balance"] for each in totals["kinds"]} == {
        "breakage": 100,
        "budget": 870,
        "held": 10,
        "issuance": -1000,
        "lot": 20,
    }
    assert {len(digest) for digest in shown["digests"].values()} == {64}


async def test_it_is_settled_by_the_worker_and_says_the_same_for_ever(
    api: Api, over: Till, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], database: Database
) -> None:
    first = (await close(api, "2029-12")).json()
    engine = create_engine(database.application_url, WORKER_ROLE)
    keeper = CloseKeeper(worker_pool, engine)
    assert await keeper.run_once() == 0
    while await sweep(worker_pool, over.book):
        pass
    assert await keeper.run_once() == 1
    assert await keeper.run_once() == 0
    await engine.dispose()
    settled = await get(api, "/v1/closes/2029-12")
    assert settled == first | {"state": "settled", "settled_seq": 5}
    await over.grant(3, 5)
    await set_clock(owner, over.book, MIDNIGHT + timedelta(days=400))
    again = await close(api, "2029-12")
    assert (again.status_code, again.json()) == (200, settled)
    assert await get(api, "/v1/closes/2029-12") == settled
    for period in ("2030-01", "2030-02-01"):
        assert (await close(api, period)).status_code == 201
    page = await get(api, "/v1/closes", limit=2)
    assert ([each["period"] for each in page["items"]], page["next"]) == (["2030-02-01", "2030-01"], "2030-01")
    rest = await get(api, "/v1/closes", limit=2, after=page["next"])
    assert (rest["items"], rest["next"]) == ([settled], None)


async def test_points_that_are_held_back_are_not_owed(api: Api, till: Till, owner: asyncpg.Connection[Any]) -> None:
    due_at = MIDNIGHT + timedelta(days=9)
    await till.ledger.grant(order(till.book, campaign_no=till.campaign_no, points=7, held_back=True, due_at=due_at))
    await set_clock(owner, till.book, MIDNIGHT + timedelta(minutes=5))
    totals = (await close(api, "2029-12", skip={"grants_to_approve": "They take their time."})).json()["totals"]
    assert totals["points_owed"] == 30
    assert {each["kind"]: each["balance"] for each in totals["kinds"]}["pending"] == 7


@pytest.mark.usefixtures("over")
@pytest.mark.parametrize(
    ("period", "status", "code"),
    [
        ("2030-01", 409, "period_not_over"),
        ("2030-01-01", 409, "period_not_over"),
        ("2029-12-30", 409, "period_out_of_order"),
        ("2030-13", 422, "invalid_field"),
        ("December", 422, "invalid_field"),
        ("2029-12-32", 422, "invalid_field"),
    ],
)
async def test_what_cannot_be_closed_is_refused(api: Api, period: str, status: int, code: str) -> None:
    (await close(api, "2029-12-31")).raise_for_status()
    answer = await close(api, period)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == (["/period"] if status == 422 else [])
    assert [each["period"] for each in (await get(api, "/v1/closes"))["items"]] == ["2029-12-31"]


@pytest.mark.usefixtures("over")
async def test_the_first_period_cannot_be_before_the_book(api: Api) -> None:
    answer = await close(api, "2029-11")
    assert (answer.status_code, answer.json()["code"]) == (422, "period_before_book")


@pytest.mark.usefixtures("over")
async def test_what_is_no_close_is_not_found(api: Api) -> None:
    (await close(api, "2029-12-31")).raise_for_status()
    for path in ("2029-12", "2029-12-30", "december", "2029-13", "2029-13/checklist"):
        answer = await api.client("finance").get(f"/v1/closes/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await api.client("finance").get("/v1/closes", params={"after": "2029-13"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


# ---- The checklist


async def counts(api: Api, period: str = "2029-12") -> dict[str, tuple[str, int]]:
    items = (await get(api, f"/v1/closes/{period}/checklist"))["items"]
    assert all(item["where"] and item["detail"] for item in items)
    return {item["code"]: (item["severity"], item["count"]) for item in items if item["count"]}


async def test_the_checklist_notes_what_is_not_posted_and_who_may_be_late(
    api: Api, over: Till, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any]
) -> None:
    assert await counts(api) == {"unsettled_dues": ("note", 1), "late_sources": ("note", 1)}
    while await sweep(worker_pool, over.book):
        pass
    await set_clock(owner, over.book, MIDNIGHT + timedelta(hours=73))
    assert await counts(api) == {}


@pytest.mark.usefixtures("over")
async def test_a_warning_is_skipped_with_a_reason_that_the_audit_trail_keeps(api: Api) -> None:
    spool = Path(api.settings.spool_path)
    spool.mkdir(exist_ok=True, parents=True)
    (spool / "left.spool").write_bytes(b"a claim")
    assert (await counts(api))["deferred_claims"] == ("warning", 1)
    answer = await close(api, "2029-12")
    assert (answer.status_code, answer.json()["code"]) == (409, "close_has_warnings")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/skip/deferred_claims"]
    for skip in ({"nothing_such": "x"}, {"late_sources": "a note"}, {"deferred_claims": ""}, {"deferred_claims": 5}):
        answer = await close(api, "2029-12", skip=skip)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
        assert answer.json()["errors"][0]["pointer"].startswith("/skip")
    assert (await get(api, "/v1/closes"))["items"] == []
    (await close(api, "2029-12", skip={"deferred_claims": "The shop's server is down."})).raise_for_status()
    last = (await list_entries(api.services.engine, api.brand.brand_id, after=0, limit=100))[-1]
    assert (last.act, last.subject, last.after) == (
        "close.make",
        "2029-12",
        {"skip": {"deferred_claims": "The shop's server is down."}},
    )


@pytest.mark.usefixtures("over")
async def test_a_campaign_that_does_not_add_up_cannot_be_skipped(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("UPDATE ledger.event SET points = points + 1 WHERE customer = 2")
    assert (await counts(api))["campaigns_do_not_add_up"] == ("blocker", 1)
    answer = await close(api, "2029-12")
    assert (answer.status_code, answer.json()["code"]) == (409, "close_blocked")
    assert "=autumn" in answer.json()["errors"][0]["detail"]
    answer = await close(api, "2029-12", skip={"campaigns_do_not_add_up": "never mind"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


async def test_grants_to_approve_are_a_warning_until_they_are_due(api: Api, over: Till, owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        """
        INSERT INTO ledger.pending (book_id, customer, key, campaign_no, amount, due_at)
        SELECT $1, 1, decode(md5(n::text), 'hex'), 1, 5, $2::timestamptz + n * interval '1 second'
        FROM generate_series(-1, 1) AS n
        """,
        over.book.book_id,
        MIDNIGHT,
    )
    assert (await counts(api))["grants_to_approve"] == ("warning", 2)
    assert (await counts(api))["unsettled_dues"] == ("note", 2)


async def test_each_call_needs_its_scope(api: Api) -> None:
    messaging = api.client("messaging")
    for answer in (
        await messaging.get("/v1/closes"),
        await messaging.get("/v1/closes/2029-12"),
        await messaging.get("/v1/closes/2029-12/checklist"),
        await messaging.post("/v1/closes", json={"period": "2029-12"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


@pytest.mark.usefixtures("over")
async def test_what_waits_on_any_machine_is_counted_and_one_that_says_nothing_is_a_warning(
    api: Api, owner: asyncpg.Connection[Any], application_pool: asyncpg.Pool[Any], tmp_path: Path
) -> None:
    assert not {"deferred_claims", "silent_machines"} & set(await counts(api))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in range(2):
        (elsewhere / f"{number}.spool").write_bytes(b"a claim")
    await SpoolReports(application_pool, elsewhere).report()
    assert (await counts(api))["deferred_claims"] == ("warning", 2)
    await owner.execute(
        "UPDATE rewards.spool_report SET machine = 'gone', reported_at = reported_at - $1::interval WHERE files > 0",
        SILENT_AFTER,
    )
    items = {item["code"]: item for item in (await get(api, "/v1/closes/2029-12/checklist"))["items"]}
    assert items["silent_machines"]["count"] == 1
    assert items["silent_machines"]["detail"].endswith(": gone.")
    assert " since 20" in items["deferred_claims"]["detail"]
    skip = {"deferred_claims": "That machine was replaced."}
    answer = await close(api, "2029-12", skip=skip)
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/skip/silent_machines"]
    (await close(api, "2029-12", skip=skip | {"silent_machines": "It was replaced."})).raise_for_status()
