"""Versions: a campaign changes from now on, and keeps what it promised; paused, it pays nothing and forgets nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.campaigns.rules import Campaign, Cap, Standing, number_caps
from service.finance.cap_audit import audit_caps
from service.storage.database import APPLICATION_ROLE, connect
from tests.api_fixtures import BASE_URL, Api
from tests.conftest import Database
from tests.processes import REMEMBERED_S

pytestmark = pytest.mark.usefixtures("remembers_shortly")

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1000,
    "rules": [{"action": "click", "points": 10}, {"action": "visit", "points": 1, "once_per": "day"}],
    "caps": [{"per": "customer", "window": "ever", "action": "click", "max_grants": 2}],
}
TERMS = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
CHEAPER: dict[str, Any] = TERMS | {"rules": [{"action": "click", "points": 5}]}


@pytest.fixture
async def autumn(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def change(api: Api, terms: dict[str, Any]) -> httpx.Response:
    return await api.client("admin").post("/v1/campaigns/autumn/versions", json=terms)


async def click(api: Api, message_id: str, **changed: Any) -> dict[str, Any]:
    report = {"campaign": "autumn", "message_id": message_id, "customer": {"id": "c"}, "action": "click", "channel": "email"}
    answer = await api.client("messaging").post("/v1/grants", json=report | changed)
    assert answer.is_success, answer.text
    return answer.json()


async def mint(api: Api, message_id: str) -> str:
    link = {
        "campaign": "autumn",
        "message_id": message_id,
        "customer": {"id": "c"},
        "action": "click",
        "channel": "email",
        "destination": "https://shop.example/autumn",
    }
    answer = await api.client("messaging").post("/v1/links", json={"links": [link]})
    return answer.json()["results"][0]["url"].removeprefix(BASE_URL)


async def claim(api: Api, path: str) -> str:
    answer = await api.client(None).post(path, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True)
    return answer.text


async def test_a_link_pays_what_it_was_minted_for(autumn: Api) -> None:
    minted_before = await mint(autumn, "m-1")
    assert (await change(autumn, CHEAPER)).status_code == 201
    await asyncio.sleep(REMEMBERED_S)
    minted_after = await mint(autumn, "m-2")
    assert "10 Lumens added" in await claim(autumn, minted_before)
    assert "5 Lumens added" in await claim(autumn, minted_after)
    balance = await autumn.client("storefront").get("/v1/customers/c/balance")
    assert balance.json()["balance"] == 15


async def test_versions_are_listed_and_the_campaign_is_its_last(autumn: Api) -> None:
    changed = await change(autumn, CHEAPER)
    assert (changed.json()["version"], changed.json()["rules"][0]["points"]) == (2, 5)
    assert changed.json()["budget"]["funded"] == 1000
    assert (await autumn.client("messaging").get("/v1/campaigns/autumn")).json() == changed.json()
    versions = autumn.client("messaging")
    first = (await versions.get("/v1/campaigns/autumn/versions?limit=1")).json()
    second = (await versions.get(f"/v1/campaigns/autumn/versions?after={first['next']}")).json()
    assert [each["rules"][0]["points"] for each in first["items"] + second["items"]] == [10, 5]
    assert second["next"] is None


async def test_terms_that_are_in_force_are_not_made_a_version_again(autumn: Api) -> None:
    assert [(await change(autumn, terms)).status_code for terms in (TERMS, CHEAPER, CHEAPER, TERMS)] == [200, 201, 200, 201]
    # Creating the campaign again, as it was created, changes nothing either.
    again = await autumn.client("admin").post("/v1/campaigns", json=CAMPAIGN)
    assert (again.status_code, again.json()["version"], again.json()["budget"]["funded"]) == (200, 3, 1000)


async def test_a_version_that_is_named_is_made_once(autumn: Api) -> None:
    answers = [await change(autumn, CHEAPER | {"version": 2}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    await change(autumn, TERMS)
    late = await change(autumn, CHEAPER | {"version": 2})
    assert (late.status_code, late.json()["version"]) == (200, 3)
    taken = await change(autumn, CHEAPER | {"version": 3})
    assert (taken.status_code, taken.json()["code"]) == (409, "version_exists")
    ahead = await change(autumn, CHEAPER | {"version": 5})
    assert (ahead.status_code, ahead.json()["errors"][0]["pointer"]) == (422, "/version")


async def test_many_changes_at_once_make_one_version_each(autumn: Api) -> None:
    points = range(20, 28)
    answers = await asyncio.gather(*(change(autumn, TERMS | {"rules": [{"action": "click", "points": n}]}) for n in points))
    assert {answer.status_code for answer in answers} == {201}
    versions = (await autumn.client("admin").get("/v1/campaigns/autumn/versions")).json()["items"]
    assert [each["version"] for each in versions] == list(range(1, 10))
    made = [each["created_at"] for each in versions]
    assert made == sorted(made)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rules": [{"action": "click", "points": 1, "once_per": "day"}]}, "/rules/0/once_per"),
    (
        {"rules": [{"action": "tap", "points": 1}, {"action": "tap", "channel": "sms", "points": 1, "once_per": "link"}]},
        "/rules/1/once_per",
    ),
    (
        {
            "caps": [
                {"per": "customer", "window": "day", "max_grants": 1},
                {"per": "customer", "window": "day", "max_points": 9},
            ]
        },
        "/caps/1",
    ),
    ({"caps": [{"per": "campaign", "window": "rolling_day", "max_grants": 1}]}, "/caps/0/window"),
    ({"ends_at": "2025-01-01T00:00:00Z"}, "/ends_at"),
    ({"starts_at": "0001-01-01T00:00:00Z"}, "/starts_at"),
    ({"ends_at": "9999-12-31T23:59:59.999999Z"}, "/ends_at"),
    ({"budget": 5}, "/budget"),
]


@pytest.mark.parametrize(("wrong", "pointer"), WRONG)
async def test_what_is_wrong_with_a_version_is_named(autumn: Api, wrong: dict[str, Any], pointer: str) -> None:
    answer = await change(autumn, TERMS | wrong)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_once_per_comes_back_as_it_was_though_no_rule_had_it_meanwhile(autumn: Api) -> None:
    assert (await change(autumn, CHEAPER)).status_code == 201  # without a rule for visits
    visit: dict[str, Any] = {"action": "visit", "points": 1}
    refused = await change(autumn, TERMS | {"rules": [visit]})
    assert refused.json()["errors"][0]["pointer"] == "/rules/0/once_per"
    assert (await change(autumn, TERMS | {"rules": [visit | {"once_per": "day"}]})).status_code == 201


async def test_no_version_is_made_of_another_brands_campaign_or_of_none(autumn: Api) -> None:
    admin, messaging = autumn.client("admin"), autumn.client("messaging")
    assert (await admin.post("/v1/campaigns/nope/versions", json=TERMS)).status_code == 404
    assert (await admin.get("/v1/campaigns/nope/versions")).status_code == 404
    assert (await admin.post("/v1/campaigns/nope/pause")).status_code == 404
    for path in ("versions", "pause", "resume"):
        answer = await messaging.post(f"/v1/campaigns/autumn/{path}", json=TERMS if path == "versions" else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


async def test_the_application_cannot_change_a_version(autumn: Api, database: Database) -> None:
    application = await connect(database.application_url, APPLICATION_ROLE)
    for forbidden in (
        "UPDATE rewards.campaign_version SET terms = terms",
        "UPDATE rewards.campaign SET id = id",
        "DELETE FROM rewards.campaign_version",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(forbidden)
    await application.close()


async def test_a_late_report_is_judged_by_the_version_of_its_time(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    # As if the first version had been made two days ago.
    await owner.execute("UPDATE rewards.campaign_version SET created_at = created_at - interval '2 days'")
    await change(autumn, CHEAPER)
    await asyncio.sleep(REMEMBERED_S)
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert (await click(autumn, "m-1", occurred_at=an_hour_ago))["points"] == 10
    assert (await click(autumn, "m-2"))["points"] == 5


async def test_every_change_is_in_the_audit_trail_once(autumn: Api) -> None:
    for _ in range(2):
        await change(autumn, CHEAPER)
    for verb in ("pause", "pause", "resume", "resume"):
        await autumn.client("admin").post(f"/v1/campaigns/autumn/{verb}")
    trail = (await autumn.client("admin").get("/v1/audit-trail")).json()["items"]
    acts = [entry for entry in trail if entry["act"] in {"campaign.change", "campaign.pause", "campaign.resume"}]
    assert [entry["act"] for entry in acts] == ["campaign.change", "campaign.pause", "campaign.resume"]
    assert {entry["subject"] for entry in acts} == {"autumn"}
    was, became = acts[0]["before"], acts[0]["after"]
    assert [(terms["version"], terms["rules"][0]["points"]) for terms in (was, became)] == [(1, 10), (2, 5)]


# ---- Caps


async def test_a_cap_goes_on_counting_over_versions_while_only_its_limits_change(
    autumn: Api, owner: asyncpg.Connection[Any]
) -> None:
    limits = [(2, ["granted", "granted", "refused"]), (3, ["granted", "refused"]), (2, ["refused"])]
    for n, (_, expected) in enumerate(limits):
        if n:
            # The cap moves to another place, too.
            other = {"per": "customer", "window": "month", "max_points": 10_000}
            await change(autumn, TERMS | {"caps": [other, CAMPAIGN["caps"][0] | {"max_grants": limits[n][0]}]})
            await asyncio.sleep(REMEMBERED_S)
        outcomes = [(await click(autumn, f"m-{n}-{m}"))["outcome"] for m in range(len(expected))]
        assert outcomes == expected
    used = await owner.fetch("SELECT cap, period, grants FROM ledger.cap_use ORDER BY cap")
    assert [(row["cap"], row["grants"]) for row in used] == [(0, 3), (1, 1)]
    assert used[0]["period"] == date(2000, 1, 1)
    finding = await audit_caps(owner, autumn.brand)
    assert (finding.checked, finding.violations) == (2, 0)
    await owner.execute("UPDATE ledger.cap_use SET grants = 4 WHERE cap = 0")
    assert (await audit_caps(owner, autumn.brand)).violations == 1


def a_campaign(**changed: Any) -> Campaign:
    said: dict[str, Any] = {**dict.fromkeys(Campaign.__struct_fields__), **changed}
    return Campaign(**said)


def test_a_cap_has_the_number_under_which_the_same_was_counted_before() -> None:
    daily, weekly, clicks = Cap(max_grants=1), Cap(window="week", max_grants=1), Cap(action="click", max_points=5)
    first = a_campaign(caps=(daily, weekly), cap_numbers=number_caps((daily, weekly), ()))
    assert first.cap_numbers == (0, 1)
    second = a_campaign(caps=(clicks, weekly), cap_numbers=number_caps((clicks, weekly), [first]))
    assert second.cap_numbers == (2, 1)
    assert number_caps((Cap(max_grants=7), Cap(channel="sms", max_grants=1)), [first, second]) == (0, 3)


PERIODS = [
    ("day", date(2026, 3, 4), date(2026, 3, 4)),
    ("week", date(2026, 3, 1), date(2026, 2, 23)),  # a Sunday
    ("week", date(2026, 3, 2), date(2026, 3, 2)),  # a Monday
    ("week", date(2027, 1, 1), date(2026, 12, 28)),
    ("month", date(2028, 2, 29), date(2028, 2, 1)),
    ("ever", date(2026, 3, 4), date(2000, 1, 1)),
]


@pytest.mark.parametrize(("window", "day", "first_day"), PERIODS)
def test_a_period_is_known_by_its_first_day(window: Any, day: date, first_day: date) -> None:
    assert Cap(window=window).period(day) == first_day


def test_the_version_of_a_time_is_the_last_one_made_before_it() -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    second, first = a_campaign(version=2, created_at=noon), a_campaign(version=1, created_at=noon - timedelta(days=1))
    standing = Standing(versions=(second, first), created_at=noon, paused_at=None)
    times = [noon, noon - timedelta(seconds=1), noon - timedelta(days=9)]
    assert [standing.version_at(at).version for at in times] == [2, 1, 1]
    assert standing.current is second


@pytest.mark.parametrize("window", ["day", "week", "month", "ever"])
async def test_each_window_is_counted_as_the_audit_counts_it(api: Api, owner: asyncpg.Connection[Any], window: str) -> None:
    cap = {"per": "customer", "window": window, "max_grants": 1}
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"caps": [cap]})).raise_for_status()
    now = datetime.now(UTC)
    times = [now - timedelta(hours=hours) for hours in (0, 1, 13, 25, 37, 49, 61, 71)]
    for n, at in enumerate(times):
        await click(api, f"m-{n}", occurred_at=at.isoformat())
    finding = await audit_caps(owner, api.brand)
    assert (finding.checked > 0, finding.violations) == (True, 0)
    assert await owner.fetchval("SELECT max(grants) FROM ledger.cap_use") == 1


# ---- Pausing


async def test_a_paused_campaign_pays_nothing_and_records_nothing_until_it_is_resumed(
    autumn: Api, owner: asyncpg.Connection[Any]
) -> None:
    admin = autumn.client("admin")
    link, claimed = await mint(autumn, "m-link"), await mint(autumn, "m-claimed")
    assert "10 Lumens added" in await claim(autumn, claimed)
    paused = [await admin.post("/v1/campaigns/autumn/pause") for _ in range(2)]
    assert [answer.status_code for answer in paused] == [200, 200]
    assert paused[0].json()["paused_at"] == paused[1].json()["paused_at"] is not None
    await asyncio.sleep(REMEMBERED_S)

    answer = await click(autumn, "m-1")
    assert (answer["outcome"], answer["reason"], answer["grant_id"]) == ("ignored", "campaign_paused", None)
    looked = await autumn.client(None).get(link)
    assert (looked.status_code, "A short break" in looked.text, "<form" in looked.text) == (200, True, False)
    assert "A short break" in await claim(autumn, link)
    assert "You already have these" in await claim(autumn, claimed)
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 1

    resumed = [await admin.post("/v1/campaigns/autumn/resume") for _ in range(2)]
    assert [(answer.status_code, answer.json()["paused_at"]) for answer in resumed] == [(200, None)] * 2
    await asyncio.sleep(REMEMBERED_S)
    assert "10 Lumens added" in await claim(autumn, link)
    assert (await click(autumn, "m-1"))["reason"] == "cap_reached"


async def test_a_new_version_of_a_paused_campaign_is_paused(autumn: Api) -> None:
    await autumn.client("admin").post("/v1/campaigns/autumn/pause")
    assert (await change(autumn, CHEAPER)).json()["paused_at"] is not None
    assert (await click(autumn, "m-1"))["reason"] == "campaign_paused"
