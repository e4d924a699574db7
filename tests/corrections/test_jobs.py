"""Corrections of many: checked before anything is carried out, each wrong line named, and each line carried out once."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from ledger import audit
from service.auth.actions import create_key
from service.corrections.jobs import corrector
from service.corrections.jobs.schemas import LINES_MAX
from tests.api_fixtures import Api, make_brand, make_keys
from tests.approvals.test_approvals import tools
from tests.corrections.test_adjustments import balance, care
from tests.corrections.test_claw_backs import claw_back, granted, redeem

__all__ = ["care"]

Shown = dict[str, Any]


async def work(api: Api) -> None:
    """What the worker does until there is nothing left."""
    while await corrector.run_once(tools(api)):
        pass


async def order(api: Api, key: str = "o-1", who: str = "care", **asked: Any) -> httpx.Response:
    body = {"campaign": "autumn", "reason": "goodwill"} | asked
    return await api.client(who).post("/v1/corrections", json=body, headers={"Idempotency-Key": key})


async def order_list(
    api: Api, lines: Sequence[Mapping[str, Any]], key: str = "o-1", reason: str = "goodwill", **asked: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return await api.client("care").post("/v1/corrections/batch", params={"reason": reason}, json=lines, headers=headers)


async def shown(api: Api, job: str) -> Shown:
    answer = await api.client("care").get(f"/v1/corrections/{job}")
    assert answer.is_success, answer.text
    return answer.json()


async def checked(api: Api, answer: httpx.Response) -> Shown:
    """The job once the worker has checked it."""
    assert answer.status_code == 202, answer.text
    await work(api)
    return await shown(api, answer.json()["id"])


async def start(api: Api, job: Shown, who: str = "care") -> httpx.Response:
    return await api.client(who).post(f"/v1/corrections/{job['id']}/start")


async def done(api: Api, job: Shown) -> Shown:
    """The job once the worker has carried it out."""
    answer = await start(api, job)
    assert answer.status_code == 200, answer.text
    await work(api)
    return await shown(api, job["id"])


async def lines_of(api: Api, job: Shown, **query: Any) -> list[Shown]:
    answer = await api.client("care").get(f"/v1/corrections/{job['id']}/lines", params=query)
    assert answer.is_success, answer.text
    return answer.json()["items"]


async def assert_sound(api: Api, owner: asyncpg.Connection[Any]) -> None:
    assert [finding for finding in await audit(owner, api.brand.book) if finding.violations] == []


async def test_a_campaign_is_taken_back(care: Api, owner: asyncpg.Connection[Any]) -> None:
    for n in range(1, 4):
        await granted(care, f"mail-{n}", customer={"id": f"d-{n}"})
    await redeem(care, "", "r-1", customer={"id": "d-1"}, points=30, order_ref="order-1")
    job = await checked(care, await order(care, reference="incident-7"))
    assert job | {"ordered_at": "", "checked_at": "", "lines_sha256": "", "ordered_by": ""} == {
        "id": "crj_1",
        "status": "checked",
        "reason": "goodwill",
        "reference": "incident-7",
        "campaign": "autumn",
        "grants": {},
        "lines": 4,
        "checked": 4,
        "refused": 0,
        "skipped": 0,
        "customers": 4,
        "expected": {"taken": 370, "given": 0, "shortfall": 30},
        "lines_sha256": "",
        "approval": None,
        "made": {"lines": 0, "failed": 0, "points": {"taken": 0, "given": 0, "shortfall": 0}},
        "error": None,
        "ordered_by": "",
        "ordered_at": "",
        "checked_at": "",
        "started_at": None,
        "ended_at": None,
    }
    assert await balance(care) == 100
    ended = await done(care, job)
    assert (ended["status"], ended["made"]) == ("done", {"lines": 4, "failed": 0, "points": job["expected"]})
    assert [await balance(care, who) for who in ("c-1", "d-1", "d-2", "d-3")] == [0, 0, 0, 0]
    assert (await start(care, job)).json() == ended
    voided = await redeem(care, "/" + await only_redemption(care) + "/void", "v-1")
    assert voided["balance"] == 0
    await assert_sound(care, owner)


async def only_redemption(api: Api) -> str:
    listed = await api.client("storefront").get("/v1/redemptions?order_ref=order-1")
    (redemption,) = listed.json()["items"]
    return redemption["redemption_id"]


async def test_a_difference_is_taken_or_given_and_again_there_is_none(care: Api, owner: asyncpg.Connection[Any]) -> None:
    await granted(care, "mail-2", customer={"id": "d-1"})
    await granted(care, "mail-3", action="review", customer={"id": "d-2"})
    too_much = await done(care, await checked(care, await order(care, should_be=40, action="click")))
    assert too_much["made"]["points"] == {"taken": 120, "given": 0, "shortfall": 0}
    too_little = await checked(care, await order(care, "o-2", should_be=55, action="click"))
    assert too_little["expected"] == {"taken": 0, "given": 30, "shortfall": 0}
    assert (await done(care, too_little))["made"]["points"]["given"] == 30
    assert [await balance(care, who) for who in ("c-1", "d-1")] == [55, 55]
    again = await checked(care, await order(care, "o-3", should_be=55, action="click"))
    assert (again["skipped"], again["expected"]) == (2, {"taken": 0, "given": 0, "shortfall": 0})
    held_back = await checked(care, await order(care, "o-4", should_be=60, action="review"))
    (line,) = await lines_of(care, held_back)
    assert (line["state"], line["code"]) == ("skipped", "held_back")
    campaign = (await care.client("admin").get("/v1/campaigns/care")).json()
    assert campaign["budget"]["left"] == 70
    await assert_sound(care, owner)


async def test_only_grants_that_are_selected_are_lines(care: Api) -> None:
    await granted(care, "mail-2", customer={"id": "d-1"}, channel="web")
    await granted(care, "mail-3", action="review", customer={"id": "d-2"})
    first = (await care.client("messaging").get("/v1/grants?customer=c-1")).json()["items"][0]["decided_at"]
    selected: list[tuple[dict[str, Any], int]] = [
        ({"channel": "web"}, 1),
        ({"action": "review"}, 1),
        ({"action": "click"}, 2),
        ({"version": 1}, 3),
        ({"version": 2}, 0),
        ({"from": first}, 3),
        ({"to": first}, 0),
        ({"from": "2099-01-01T00:00:00Z"}, 0),
    ]
    for n, (asked, lines) in enumerate(selected):
        job = await checked(care, await order(care, f"o-{n}", **asked))
        assert (job["lines"], job["grants"]) == (lines, asked), asked


async def test_a_list_takes_back_gives_and_takes(care: Api, owner: asyncpg.Connection[Any]) -> None:
    grants = [await granted(care, f"mail-{n}", customer={"id": f"d-{n}"}) for n in range(3)]
    wanted = [
        {"grant_id": grants[0]},
        {"grant_id": grants[1], "points": 30},
        {"customer": {"id": "d-2"}, "points": -20},
        {"customer": {"id": "c-1"}, "points": 25},
    ]
    job = await checked(care, await order_list(care, wanted))
    assert (job["lines"], job["expected"]) == (4, {"taken": 150, "given": 25, "shortfall": 0})
    ended = await done(care, job)
    assert ended["made"] == {"lines": 4, "failed": 0, "points": {"taken": 150, "given": 25, "shortfall": 0}}
    assert [await balance(care, who) for who in ("d-0", "d-1", "d-2", "c-1")] == [0, 70, 80, 125]
    lines = await lines_of(care, job)
    assert [(line["line"], line["kind"], line["grant_id"], line["points"], line["moved"], line["state"]) for line in lines] == [
        (1, "clawback", grants[0], None, 100, "done"),
        (2, "clawback", grants[1], 30, 30, "done"),
        (3, "adjustment", None, -20, 20, "done"),
        (4, "adjustment", None, 25, 25, "done"),
    ]
    made = (await care.client("care").get("/v1/adjustments")).json()["items"]
    assert [(each["adjustment_id"], each["reference"], each["correction"]) for each in made] == [
        (line["correction_id"], job["id"], job["id"]) for line in reversed(lines[2:])
    ]
    log = (await care.client("finance").get("/v1/ledger/transfers?verb=clawback,adjust,grant")).json()["items"]
    assert {(each["seq"], each["correction"]) for each in log if each["verb"] != "grant"} == {
        (line["seq"], job["id"]) for line in lines
    }
    assert {each["correction"] for each in log if each["verb"] == "grant"} == {None}
    trail = (await care.client("admin").get("/v1/audit-trail")).json()["items"]
    assert [(each["act"], each["subject"]) for each in trail if each["subject"] == job["id"]] == [
        ("correction.order", job["id"]),
        ("correction.start", job["id"]),
    ]
    await assert_sound(care, owner)


async def test_each_wrong_line_is_named_and_nothing_is_done(care: Api, owner: asyncpg.Connection[Any]) -> None:
    grant = await granted(care, "mail-2", customer={"id": "d-1"})
    held_back = await granted(care, "mail-3", action="review", customer={"id": "d-2"})
    weak = await granted(care, "mail-4", action="open", customer={"id": "d-3"}, evidence="D")
    other = await make_brand(owner, "other")
    theirs = await a_grant_of(care, await make_keys(owner, other))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"grant_id": grant, "points": 101}, "clawback_exceeds_grant"),
        ({"grant_id": grant}, "invalid_field"),
        ({"grant_id": theirs}, "not_found"),
        ({"grant_id": "grt_7"}, "not_found"),
        ({"grant_id": held_back, "points": 49}, "held_back"),
        ({"grant_id": weak}, "not_granted"),
        ({"grant_id": grant, "points": 0}, "invalid_field"),
        ({"grant_id": grant, "customer": {"id": "c-1"}}, "invalid_field"),
        ({}, "invalid_field"),
        ({"customer": {"id": "c-1"}}, "invalid_field"),
        ({"customer": {"id": "nobody"}, "points": 1}, "not_found"),
        ({"customer": {"id": "c-1"}, "points": -101}, "insufficient_balance"),
        ({"customer": {"id": "c-1"}, "points": 1}, "invalid_field"),
        ({"customer": {"id": "d-1"}, "points": "1"}, "invalid_field"),
        ({"customer": {"id": "d-1"}, "points": 1, "note": "x"}, "unknown_field"),
    ]
    good = {"customer": {"id": "d-3"}, "points": 5}
    job = await checked(care, await order_list(care, [good, *(line for line, _ in wrong)]))
    assert (job["status"], job["lines"], job["refused"]) == ("checked", len(wrong) + 1, len(wrong))
    refused = await lines_of(care, job, state="refused")
    assert [(line["line"], line["code"]) for line in refused] == [(n, code) for n, (_, code) in enumerate(wrong, 2)]
    assert "100 points" in refused[0]["detail"]
    assert "line 2" in refused[1]["detail"]
    assert "line 13" in refused[12]["detail"]
    answer = await start(care, job)
    assert (answer.status_code, answer.json()["code"]) == (409, "correction_has_refusals")
    assert await owner.fetchval("SELECT count(*) FROM ledger.correction") == 0
    gives_nothing = await checked(care, await order_list(care, [good], "o-2", reason="fraud"))
    assert gives_nothing["refused"] == 1


async def a_grant_of(api: Api, keys: Mapping[str, str]) -> str:
    """A grant of another brand."""
    campaign = {
        "id": "theirs",
        "name": "Theirs",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "rules": [{"action": "click", "points": 100}],
        "budget": 100,
    }
    (await api.client(key=keys["admin"]).post("/v1/campaigns", json=campaign)).raise_for_status()
    event = {"campaign": "theirs", "message_id": "m", "customer": {"id": "c-1"}, "action": "click", "channel": "email"}
    return (await api.client(key=keys["messaging"]).post("/v1/grants", json=event)).json()["grant_id"]


async def test_a_request_that_is_wrong_as_a_whole_is_refused(care: Api) -> None:
    for answer, pointer in (
        (await order(care, reason="none_such"), "/reason"),
        (await order(care, campaign="none"), "/campaign"),
        (await order(care, should_be=-1), "/should_be"),
        (await order(care, to="2026-01-01T00:00:00Z", **{"from": "2026-01-01T00:00:00Z"}), "/to"),
        (await order(care, nothing=1), "/nothing"),
        (await order_list(care, [{"customer": {"id": "c-1"}, "points": 1}], reason="none_such"), "?reason"),
        (await order_list(care, [{"customer": {"id": "c-1"}, "points": 1}], reason="None"), "?reason"),
        (await order_list(care, []), ""),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
    missing = await care.client("care").post("/v1/corrections", json={"campaign": "autumn", "reason": "goodwill"})
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")
    forbidden = await order(care, who="finance")
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "missing_scope")
    broken = await post_lines(care, b'{"grant_id": "grt_7"}\n' * (LINES_MAX + 1))
    assert (broken.status_code, broken.json()["errors"][0]["detail"]) == (422, "must have at most 100000 items")
    assert (await care.client("care").get("/v1/corrections")).json()["items"] == []


async def post_lines(api: Api, body: bytes, key: str = "o-9", media_type: str = "application/x-ndjson") -> httpx.Response:
    headers = {"Idempotency-Key": key, "Content-Type": media_type}
    return await api.client("care").post("/v1/corrections/batch?reason=goodwill", content=body, headers=headers)


async def test_a_broken_line_in_the_middle_is_that_lines_fault(care: Api) -> None:
    good = [msgspec.json.encode({"customer": {"id": who}, "points": 1}) for who in ("c-1", "c-1")]
    job = await checked(care, await post_lines(care, b"\n".join([good[0], b'{"customer', b"7"])))
    assert [(line["line"], line["state"], line["code"]) for line in await lines_of(care, job)] == [
        (1, "checked", None),
        (2, "refused", "malformed_body"),
        (3, "refused", "invalid_field"),
    ]


async def test_a_list_may_be_a_csv(care: Api) -> None:
    grant = await granted(care, "mail-2", customer={"email": "ada@example.org"})
    rows = ["grant_id,customer.id,customer.email,points", f"{grant},,,", ",c-1,,-20", ",,ada@example.org,5", ",c-2,,1,x"]
    job = await checked(care, await post_lines(care, "\r\n".join(rows).encode(), media_type="text/csv; charset=utf-8"))
    lines = [(line["kind"], line["points"], line["state"], line["code"]) for line in await lines_of(care, job)]
    assert lines == [
        ("clawback", None, "checked", None),
        ("adjustment", -20, "checked", None),
        ("adjustment", 5, "checked", None),
        (None, None, "refused", "unknown_field"),
    ]
    wrong = await post_lines(care, b"grant\nx\n", "o-8", media_type="text/csv")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_field")


async def test_the_same_order_again_is_the_same_job(care: Api) -> None:
    job = (await order(care)).json()
    again = await order(care)
    assert (again.status_code, again.headers["Idempotency-Replayed"], again.json()["id"]) == (200, "true", job["id"])
    reused = await order(care, should_be=5)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    lines = [{"customer": {"id": "c-1"}, "points": 1}]
    listed = (await order_list(care, lines, "o-2")).json()
    assert (await order_list(care, lines, "o-2")).json()["id"] == listed["id"]
    other = await order_list(care, [*lines, {"customer": {"id": "c-2"}, "points": 1}], "o-2")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    every = (await care.client("care").get("/v1/corrections?limit=1")).json()
    assert [each["id"] for each in every["items"]] == [listed["id"]]
    rest = (await care.client("care").get(f"/v1/corrections?limit=1&after={every['next']}")).json()
    assert ([each["id"] for each in rest["items"]], rest["next"]) == ([job["id"]], None)


async def test_what_has_changed_since_the_check_fails_alone(care: Api, owner: asyncpg.Connection[Any]) -> None:
    grants = [await granted(care, f"mail-{n}", customer={"id": f"d-{n}"}) for n in range(2)]
    job = await checked(care, await order_list(care, [{"grant_id": grant, "points": 80} for grant in grants]))
    await claw_back(care, grants[0], points=50)
    ended = await done(care, job)
    assert ended["made"] == {"lines": 1, "failed": 1, "points": {"taken": 80, "given": 0, "shortfall": 0}}
    (failed,) = await lines_of(care, job, state="failed")
    assert (failed["line"], failed["code"], failed["moved"]) == (1, "clawback_exceeds_grant", None)
    assert [await balance(care, f"d-{n}") for n in range(2)] == [50, 20]
    await assert_sound(care, owner)


async def test_what_the_budget_does_not_have_is_not_begun(care: Api) -> None:
    job = await checked(care, await order_list(care, [{"customer": {"id": "c-1"}, "points": 101}]))
    answer = await start(care, job)
    assert (answer.status_code, answer.json()["code"]) == (402, "budget_exhausted")
    assert (await shown(care, job["id"]))["status"] == "checked"


async def test_a_job_that_was_overtaken_is_not_started(care: Api) -> None:
    first = await checked(care, await order(care, should_be=40))
    second = await checked(care, await order(care, "o-2", should_be=40))
    await done(care, first)
    answer = await start(care, second)
    assert (answer.status_code, answer.json()["code"]) == (409, "correction_outdated")
    assert await balance(care) == 40


async def test_only_whoever_ordered_it_starts_it_and_once_it_is_checked(care: Api, owner: asyncpg.Connection[Any]) -> None:
    job = (await order(care)).json()
    early = await start(care, job)
    assert (early.status_code, early.json()["code"]) == (409, "correction_not_checked")
    await work(care)
    other = await another_key(owner)
    answer = await care.client(key=other).post(f"/v1/corrections/{job['id']}/start")
    assert (answer.status_code, answer.json()["code"]) == (403, "another_maker")
    theirs = (await make_keys(owner, await make_brand(owner, "other")))["care"]
    for method, path in (("GET", ""), ("GET", "/lines"), ("POST", "/start"), ("POST", "/cancel")):
        hidden = await care.client(key=theirs).request(method, f"/v1/corrections/{job['id']}{path}")
        assert (hidden.status_code, hidden.json()["code"]) == (404, "not_found")


async def another_key(owner: asyncpg.Connection[Any]) -> str:

    return (await create_key(owner, "lumen", "another", ["corrections:write", "grants:read"], "A"))[0]


async def test_a_job_that_is_cancelled_keeps_what_was_done(care: Api, owner: asyncpg.Connection[Any]) -> None:
    grants = [await granted(care, f"mail-{n}", customer={"id": f"d-{n}"}) for n in range(3)]
    job = await checked(care, await order_list(care, [{"grant_id": grant} for grant in grants]))
    await start(care, job)
    # As a worker leaves it that died when it had begun the first two lines.
    await owner.execute("UPDATE rewards.correction_job SET begun = 2")
    cancelled = await care.client("care").post(f"/v1/corrections/{job['id']}/cancel")
    assert cancelled.json()["status"] == "cancelling"
    await work(care)
    ended = await shown(care, job["id"])
    assert (ended["status"], ended["made"]["lines"], ended["made"]["points"]["taken"]) == ("cancelled", 2, 200)
    assert [line["state"] for line in await lines_of(care, job)] == ["done", "done", "checked"]
    assert await balance(care, "d-2") == 100
    again = await care.client("care").post(f"/v1/corrections/{job['id']}/cancel")
    assert again.json() == ended
    early = (await order(care, "o-2")).json()
    cancelled = await care.client("care").post(f"/v1/corrections/{early['id']}/cancel")
    assert (cancelled.json()["status"], cancelled.json()["made"]["lines"]) == ("cancelled", 0)
    late = await start(care, early)
    assert (late.status_code, late.json()["code"]) == (409, "correction_ended")


async def test_lines_are_paged_and_are_a_csv(care: Api) -> None:
    people = [f"d-{n}" for n in range(3)]
    for n, who in enumerate(people):
        await granted(care, f"mail-{n}", customer={"id": who})
    job = await checked(care, await order_list(care, [{"customer": {"id": who}, "points": 5} for who in people]))
    first = await care.client("care").get(f"/v1/corrections/{job['id']}/lines?limit=2&format=csv")
    assert first.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(first.text)))
    assert [(row["line"], row["kind"], row["points"], row["state"]) for row in rows] == [
        ("1", "adjustment", "5", "checked"),
        ("2", "adjustment", "5", "checked"),
    ]
    following = first.headers["link"].split(">")[0].removeprefix("<")
    second = await care.client("care").get(following)
    assert [row["line"] for row in csv.DictReader(io.StringIO(second.text))] == ["3"]
    assert "link" not in second.headers


async def test_too_many_open_jobs_are_refused(care: Api) -> None:
    for n in range(20):
        assert (await order(care, f"o-{n}")).status_code == 202
    refused = await order(care, "o-20")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_corrections")


@pytest.mark.parametrize("merged", ["before", "between"])
async def test_a_merged_customer_is_corrected_as_who_has_the_points(care: Api, merged: str) -> None:
    grant = await granted(care, "mail-2", customer={"id": "c-2"})

    async def merge() -> None:
        answer = await care.client("messaging").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})
        assert answer.is_success, answer.text

    if merged == "before":
        await merge()
    job = await checked(care, await order_list(care, [{"grant_id": grant}, {"customer": {"id": "c-2"}, "points": 10}]))
    assert job["expected"] == {"taken": 100, "given": 10, "shortfall": 0}
    if merged == "between":
        await merge()
    ended = await done(care, job)
    assert ended["made"]["points"] == job["expected"]
    assert await balance(care) == 110
