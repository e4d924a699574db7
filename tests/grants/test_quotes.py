"""Quotes: what an act would earn now, what caps and budget leave; the report right after it is answered the same."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.actions import create_key
from service.campaigns.queries import find_campaign
from service.campaigns.rules import Standing
from service.observability import metrics
from tests.api_fixtures import Api
from tests.auth.test_quotas import key_with, within_a_minute
from tests.customers import calls
from tests.ledger.reads.test_quotes import contents
from tests.processes import REMEMBERED_S

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000,
    "rules": [
        {"action": "open", "points": 1, "min_evidence": "B"},
        {"action": "click", "points": 5},
        {"action": "review", "points": 50, "hold_back_days": 14},
    ],
    "caps": [
        {"per": "customer", "window": "day", "action": "click", "max_grants": 3},
        {"per": "customer", "window": "rolling_day", "max_points": 60},
        {"per": "campaign", "window": "ever", "max_grants": 9, "max_points": 500},
    ],
}
CLICK: dict[str, Any] = {
    "campaign": "autumn",
    "message_id": "m-1",
    "customer": {"id": "c-1"},
    "action": "click",
    "channel": "email",
}
COMPARED = ("outcome", "reason", "points", "replayed")
_numbers = itertools.count(1)


@pytest.fixture
async def autumn(api: Api) -> Api:
    await make_campaign(api)
    return api


async def make_campaign(api: Api, **changed: Any) -> None:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | changed)).raise_for_status()


async def ask(api: Api, key: str = "messaging", **changed: Any) -> httpx.Response:
    body = {name: value for name, value in (CLICK | changed).items() if value is not None}
    return await api.client(key).post("/v1/grants/quote", json=body)


async def quote(api: Api, **changed: Any) -> dict[str, Any]:
    answer = await ask(api, **changed)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def quoted(api: Api, owner: asyncpg.Connection[Any], **changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Quote, then report: both must say the same, and the quote has written nothing."""
    before = await contents(owner)
    said = await quote(api, **changed)
    assert await contents(owner) == before
    report = await api.client("messaging").post("/v1/grants", json=CLICK | changed)
    assert report.is_success, report.text
    answer = report.json()
    assert {name: said[name] for name in COMPARED} == {name: answer[name] for name in COMPARED}
    return said, answer


def left(said: dict[str, Any]) -> list[tuple[int, int | None, int | None]]:
    """Which caps there are, and what each leaves."""
    return [(cap["cap"], cap["grants_left"], cap["points_left"]) for cap in said["caps"]]


async def test_a_quote_says_what_is_left_before_the_act(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    said, granted = await quoted(autumn, owner)
    assert said == {
        "outcome": "granted",
        "reason": None,
        "points": 5,
        "replayed": False,
        "campaign_version": 1,
        "caps": [
            CAMPAIGN["caps"][0]
            | {"cap": 0, "store_id": None, "channel": None, "max_points": None, "grants_left": 3, "points_left": None},
            CAMPAIGN["caps"][1]
            | {
                "cap": 1,
                "store_id": None,
                "action": None,
                "channel": None,
                "max_grants": None,
                "grants_left": None,
                "points_left": 60,
            },
            CAMPAIGN["caps"][2]
            | {"cap": 2, "store_id": None, "action": None, "channel": None, "grants_left": 9, "points_left": 500},
        ],
        "budget_left": 1_000,
        "balance": 0,
        "as_of": 1,
        "ref": None,
    }
    again, _ = await quoted(autumn, owner)
    assert (again["replayed"], again["points"], again["balance"], again["as_of"]) == (True, 5, 5, granted["balance_seq"])
    assert left(again) == [(0, 2, None), (1, None, 55), (2, 8, 495)]
    assert again["budget_left"] == 995
    # The cap of clicks does not cover a review, and another customer has her own.
    assert left(await quote(autumn, action="review")) == [(1, None, 55), (2, 8, 495)]
    assert left(await quote(autumn, customer={"id": "c-2"})) == [(0, 3, None), (1, None, 60), (2, 8, 495)]


async def test_caps_come_before_the_budget(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    for n in range(3):
        await quoted(autumn, owner, message_id=f"m-{n}")
    capped, _ = await quoted(autumn, owner, message_id="m-4")
    assert (capped["outcome"], capped["reason"], capped["points"]) == ("refused", "cap_reached", 0)
    await make_campaign(autumn, id="poor", budget=4)
    poor, _ = await quoted(autumn, owner, campaign="poor")
    assert (poor["reason"], poor["budget_left"]) == ("budget_exhausted", 4)


async def test_points_that_are_held_back_and_what_waits_and_is_proved(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    review, _ = await quoted(autumn, owner, action="review", evidence="C")
    assert (review["outcome"], review["reason"], review["points"]) == ("held_back", "awaiting_approval", 50)
    assert left(await quote(autumn, message_id="m-2", action="review")) == [(1, None, 10), (2, 8, 450)]
    opened, _ = await quoted(autumn, owner, action="open", evidence="D")
    assert (opened["outcome"], opened["reason"], opened["points"]) == ("waiting", "stronger_evidence_needed", 0)
    await quoted(autumn, owner, action="open", evidence="D")
    await quoted(autumn, owner, message_id="m-3", evidence="B")
    proved, _ = await quoted(autumn, owner, message_id="m-3", action="open", evidence="D")
    assert (proved["outcome"], proved["points"]) == ("granted", 1)


@pytest.mark.usefixtures("remembers_shortly")
async def test_what_would_not_be_recorded_is_ignored_and_leaves_no_numbers(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await make_campaign(autumn, id="over", ends_at="2026-01-02T00:00:00Z")
    await make_campaign(autumn, id="later", starts_at="2098-01-01T00:00:00Z")
    await make_campaign(autumn, id="paused")
    (await autumn.client("admin").post("/v1/campaigns/paused/pause")).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)
    for changed, reason in (
        ({"campaign": "over"}, "campaign_over"),
        ({"campaign": "later"}, "campaign_not_started"),
        ({"campaign": "paused"}, "campaign_paused"),
        ({"action": "reply"}, "no_rule"),
        ({"action": "reply", "evidence": "D"}, "no_rule"),
        ({"evidence": "X"}, "machine"),
    ):
        said, _ = await quoted(autumn, owner, **changed)
        assert said == {
            "outcome": "ignored",
            "reason": reason,
            "points": 0,
            "replayed": False,
            "campaign_version": None,
            "caps": [],
            "budget_left": None,
            "balance": None,
            "as_of": None,
            "ref": None,
        }


@pytest.mark.usefixtures("remembers_shortly")
async def test_a_refused_channel_pays_nothing(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await quoted(autumn, owner)
    body = {"status": "refused", "source": "call centre"}
    names = {"email": "ada@example.org"}
    (await calls.put(autumn, "c-1", **names)).raise_for_status()
    (await autumn.client("messaging").put("/v1/customers/c-1/consents/email", json=body)).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)
    assert (await quoted(autumn, owner, message_id="m-2"))[0]["reason"] == "consent_refused"
    assert (await quoted(autumn, owner, message_id="m-2", customer=names))[0]["reason"] == "consent_refused"
    assert (await quoted(autumn, owner))[0]["replayed"], "what was decided before stays decided"
    assert (await quoted(autumn, owner, message_id="m-2", channel="sms"))[0]["outcome"] == "granted"
    # A new customer who comes with the name of somebody who refused.
    new = {"id": "c-new", **names}
    assert (await quoted(autumn, owner, message_id="m-3", customer=new))[0]["reason"] == "consent_refused"


async def test_an_unknown_customer_stays_unknown(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    said = await quote(autumn, customer={"email": "nobody@example.org", "device": "phone-1"})
    assert (said["outcome"], said["points"], said["balance"]) == ("granted", 5, 0)
    assert left(said) == [(0, 3, None), (1, None, 60), (2, 9, 500)]
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 0
    assert await owner.fetchval("SELECT count(*) FROM rewards.identity") == 0


async def test_who_is_meant_is_who_a_report_would_mean(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    """Names that come together: an id of its own, a device that several use."""
    await quoted(autumn, owner, customer={"id": "c-1", "email": "ada@example.org", "device": "tv"})
    for n, customer in enumerate(
        [
            {"email": "ada@example.org"},
            {"id": "c-2", "email": "ada@example.org"},
            {"phone": "+4930901820", "device": "tv"},
            {"device": "kiosk"},
            {"phone": "+4930901821", "device": "kiosk"},
            {"phone": "+4930901822", "device": "kiosk"},
            {"device": "kiosk"},
        ]
    ):
        said, granted = await quoted(autumn, owner, message_id=f"m-{n + 2}", customer=customer)
        assert said["balance"] + 5 == granted["balance"], customer


async def test_merged_and_split_customers_are_quoted_as_who_they_are(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await quoted(autumn, owner, message_id="m-1", customer={"id": "c-1"})
    await quoted(autumn, owner, message_id="m-2", customer={"id": "c-2"})
    (await calls.merge(autumn, "c-1", id="c-2")).raise_for_status()
    for own_id, message_id in itertools.product(("c-1", "c-2"), ("m-1", "m-2")):
        said, _ = await quoted(autumn, owner, message_id=message_id, customer={"id": own_id})
        assert (said["replayed"], said["balance"]) == (True, 10)
    await quoted(autumn, owner, message_id="m-3", customer={"id": "c-2"})
    (await calls.split(autumn, "c-1", id="c-2")).raise_for_status()
    for own_id, message_id in itertools.product(("c-1", "c-2"), ("m-3", "m-4")):
        said, _ = await quoted(autumn, owner, message_id=message_id, customer={"id": own_id})
        assert said["replayed"] is (message_id == "m-3"), "what was decided while they were one was decided for both"


async def test_another_process_learns_of_a_merge_from_the_book(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    """Between what the look-ups have committed and what the book has posted."""
    await quoted(autumn, owner, message_id="m-1", customer={"id": "c-1"})
    await quoted(autumn, owner, message_id="m-2", customer={"id": "c-2"})
    numbers = {
        name: await owner.fetchval("SELECT customer FROM ledger.event WHERE message_id = $1", name) for name in ("m-1", "m-2")
    }
    await owner.execute(
        "UPDATE rewards.customer SET merged_into = $1, generation = generation + 1 WHERE customer = $2",
        numbers["m-1"],
        numbers["m-2"],
    )
    await owner.execute(
        "UPDATE rewards.customer SET absorbed = 1, generation = generation + 1 WHERE customer = $1", numbers["m-1"]
    )
    said = await quote(autumn, message_id="m-1", customer={"id": "c-2"})
    assert (said["replayed"], said["points"], said["balance"]) == (True, 5, 10)


async def test_an_offer_needs_no_message_and_was_never_decided_before(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await quoted(autumn, owner, evidence="B")
    for message_id in (None, "m-2"):
        said = await quote(autumn, message_id=message_id)
        assert (said["outcome"], said["replayed"], said["points"]) == ("granted", False, 5)
    assert (await quote(autumn, message_id=None, action="open", evidence="D"))["outcome"] == "waiting"
    null = await autumn.client("messaging").post("/v1/grants/quote", json=CLICK | {"message_id": None})
    assert null.json()["replayed"] is False
    refused = await autumn.client("messaging").post("/v1/grants", json={**CLICK, "message_id": ""})
    assert refused.status_code == 422, "no message has the id that a quote without one goes by"


async def test_several_offers_are_priced_at_once_each_by_itself(autumn: Api) -> None:
    await make_campaign(autumn, id="small", budget=5, caps=[])
    items = [
        {**CLICK, "ref": "a"},
        {**CLICK, "campaign": "small", "ref": "b"},
        {**CLICK, "campaign": "small", "message_id": "m-2"},
        {**CLICK, "campaign": "nothing", "ref": "d"},
        {"campaign": "autumn", "customer": {"id": "c-1"}, "action": "review", "channel": "web"},
        {**CLICK, "customer": {"email": "nonsense"}},
        {**CLICK, "action": "none"},
        {"campaign": "autumn"},
    ]
    answer = await autumn.client("messaging").post("/v1/grants/quote/batch", json=items)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [(each["index"], each["status"], each.get("outcome"), each.get("ref")) for each in results] == [
        (0, 200, "granted", "a"),
        (1, 200, "granted", "b"),
        (2, 200, "granted", None),
        (3, 422, None, "d"),
        (4, 200, "held_back", None),
        (5, 422, None, None),
        (6, 200, "ignored", None),
        (7, 422, None, None),
    ]
    assert [each.get("budget_left", "none") for each in results] == [1_000, 5, 5, "none", 1_000, "none", None, "none"]
    for item, result in zip(items, results, strict=True):
        single = await autumn.client("messaging").post("/v1/grants/quote", json=item)
        if single.status_code == 200:
            told = {name: value for name, value in result.items() if name not in {"index", "status"}}
            assert {"ref": None} | told == single.json()
        else:
            assert single.json()["code"] == result["problem"]["code"]
    too_many = await autumn.client("messaging").post("/v1/grants/quote/batch", json=[CLICK] * 101)
    assert (too_many.status_code, too_many.json()["code"]) == (422, "invalid_field")


@pytest.mark.one_process("counts what this process asks of the database")
async def test_a_campaign_that_pays_nothing_is_asked_for_once_for_all_its_offers(
    autumn: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    (await autumn.client("admin").post("/v1/campaigns/autumn/pause")).raise_for_status()
    asked: list[str] = []

    async def counted(engine: AsyncEngine, brand_id: int, campaign_id: str) -> Standing | None:
        asked.append(campaign_id)
        return await find_campaign(engine, brand_id, campaign_id)

    monkeypatch.setattr("service.campaigns.queries.find_campaign", counted)
    offers = [CLICK | {"message_id": f"m-{n}"} for n in range(70)]
    answers = (await autumn.client("messaging").post("/v1/grants/quote/batch", json=offers)).json()["results"]
    assert [answer["reason"] for answer in answers] == ["campaign_paused"] * 70
    # Once as it may be remembered, and once as it is now.
    assert asked == ["autumn"] * 2


async def test_a_bot_with_a_key_to_read_can_quote_and_cannot_grant(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    key, _ = await create_key(owner, "lumen", "bot", ["grants:read"], "A")
    bot = autumn.client(key=key)
    assert (await bot.post("/v1/grants/quote", json=CLICK)).json()["outcome"] == "granted"
    assert (await bot.post("/v1/grants/quote/batch", json=[CLICK])).status_code == 200
    before = await contents(owner)
    for path, body in (("/v1/grants", CLICK), ("/v1/grants/batch", [CLICK])):
        refused = await bot.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert await contents(owner) == before
    for scope in ("grants:write", "campaigns:read"):
        other, _ = await create_key(owner, "lumen", scope, [scope], "A")
        assert (await autumn.client(key=other).post("/v1/grants/quote", json=CLICK)).status_code == 403


async def test_a_quote_is_judged_by_the_asking_keys_evidence_and_lateness(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    weak, _ = await create_key(owner, "lumen", "weak", ["grants:read"], "C")
    answer = await autumn.client(key=weak).post("/v1/grants/quote", json=CLICK | {"action": "open", "evidence": "A"})
    assert answer.json()["outcome"] == "waiting"
    late = (datetime.now(UTC) - timedelta(days=500)).isoformat()
    assert (await ask(autumn, occurred_at=late)).json()["code"] == "occurred_at_out_of_range"


async def test_quotes_count_against_the_quota(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    async def attempt() -> None:
        key, _ = await key_with(owner, 10, "grants:read")
        client = autumn.client(key=key)
        assert (await client.post("/v1/grants/quote", json=CLICK)).headers["ratelimit"].startswith('"items";r=9;')
        several = await client.post("/v1/grants/quote/batch", json=[CLICK] * 7)
        assert several.headers["ratelimit"].startswith('"items";r=2;')
        assert (await client.post("/v1/grants/quote/batch", json=[CLICK] * 3)).status_code == 429

    await within_a_minute(owner, attempt)


@pytest.mark.usefixtures("remembers_shortly")
async def test_no_quote_is_counted_as_a_refused_report(autumn: Api) -> None:
    body = {"status": "refused", "source": "call centre"}
    (await autumn.client("messaging").put("/v1/customers/c-1/consents/email", json=body)).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)

    def counted() -> float:
        return metrics.REGISTRY.get_sample_value("rewards_consent_refused_total", {"what": "report"}) or 0

    before = counted()
    assert (await quote(autumn))["reason"] == "consent_refused"
    assert counted() == before
    (await autumn.client("messaging").post("/v1/grants", json=CLICK)).raise_for_status()
    assert counted() == before + 1


caps = st.lists(
    st.fixed_dictionaries(
        {
            "per": st.just("customer"),
            "window": st.sampled_from(["day", "week", "ever", "rolling_day"]),
            "action": st.sampled_from([None, "click"]),
            "max_grants": st.integers(1, 3),
            "max_points": st.none() | st.integers(1, 40),
        }
    )
    | st.fixed_dictionaries(
        {"per": st.just("campaign"), "window": st.sampled_from(["day", "ever"]), "max_points": st.integers(1, 60)}
    ),
    max_size=3,
    unique_by=lambda cap: (cap["per"], cap["window"], cap.get("action")),
)
reports = st.lists(
    st.fixed_dictionaries(
        {
            "message_id": st.sampled_from(["m-1", "m-2", "m-3", "m-4"]),
            "customer": st.sampled_from(["one", "one", "two"]),
            "action": st.sampled_from(["open", "click", "click", "review", "reply"]),
            "evidence": st.sampled_from(["A", "B", "D", "X"]),
            "late_h": st.sampled_from([0, 0, 1, 24, 80]),
            "advance_h": st.sampled_from([0, 0, 0, 5, 30]),
        }
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(caps=caps, budget=st.sampled_from([20, 1_000]), reports=reports)
async def test_whatever_happened_before_the_report_is_answered_what_was_quoted(
    api: Api, caps: list[dict[str, Any]], budget: int, reports: list[dict[str, Any]]
) -> None:
    n = next(_numbers)
    campaign = f"campaign-{n}"
    await make_campaign(api, id=campaign, caps=caps, budget=budget)
    for each in reports:
        if each["advance_h"]:
            clock = await api.client("admin").post("/v1/test/clock/advance", json={"seconds": each["advance_h"] * 3600})
            now = datetime.fromisoformat(clock.raise_for_status().json()["now"])
            if api.served is not None:
                await asyncio.sleep(REMEMBERED_S)
        else:
            now = datetime.now(UTC) + await clock_is_ahead(api)
        said = {
            "campaign": campaign,
            "message_id": each["message_id"],
            "customer": {"id": f"{each['customer']}-{n}"},
            "action": each["action"],
            "evidence": each["evidence"],
            "occurred_at": (now - timedelta(hours=each["late_h"])).isoformat(),
        }
        before = await quote(api, **said)
        report = await api.client("messaging").post("/v1/grants", json=CLICK | said)
        answer = report.raise_for_status().json()
        assert {name: before[name] for name in COMPARED} == {name: answer[name] for name in COMPARED}
        after = await quote(api, **said)
        if before["outcome"] == "ignored":
            assert after == before
            continue
        is_new = answer["outcome"] in {"granted", "held_back"} and not answer["replayed"]
        if answer["balance_seq"] == before["as_of"] + is_new:
            # What is paid or held back now has a transfer; nothing that waited was paid with it.
            points = answer["points"] if is_new else 0
            spent = [
                (cap, grants and grants - is_new, points_left and points_left - points)
                for cap, grants, points_left in left(before)
            ]
            assert left(after) == spent
            assert after["budget_left"] == before["budget_left"] - points


async def clock_is_ahead(api: Api) -> timedelta:
    """How far the brand's clock is ahead of the world's."""
    clock = await api.services.ledger.clock(api.brand.book)
    return clock.at(datetime.now(UTC)) - datetime.now(UTC)
