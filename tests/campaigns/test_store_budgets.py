"""Budgets of stores: what each may give in a period, decided with the grant; and the audit that recomputes them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.campaigns.rules import Cap, store_group
from service.finance.cap_audit import audit_caps
from tests.api_fixtures import Api
from tests.processes import REMEMBERED_S

MITTE, NORD, OTHER = "mitte", "nord", "süd"
LIMITS = {"per": "store", "window": "month", "max_points": 10, "stores": {MITTE: 20, NORD: 0}}
CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000,
    "rules": [{"action": "visit", "points": 10, "min_evidence": "C"}],
}
TERMS = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}


async def make(api: Api, *caps: dict[str, Any], **changed: Any) -> httpx.Response:
    answer = await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"caps": caps or [LIMITS]} | changed)
    assert answer.status_code == 201, answer.text
    return answer


def visit(who: str, store: str | None = MITTE, **changed: Any) -> dict[str, Any]:
    report = {"campaign": "autumn", "message_id": who, "customer": {"id": who}, "action": "visit", "channel": "pos"}
    return report | ({} if store is None else {"store_id": store}) | changed


async def decided(api: Api, *reports: dict[str, Any]) -> list[str]:
    """What is decided on each, in one batch."""
    results = (await api.client("messaging").post("/v1/grants/batch", json=reports)).json()["results"]
    return [result.get("reason") or result.get("outcome") or result["problem"]["code"] for result in results]


async def budgets(api: Api) -> dict[str, tuple[int, int]]:
    """What each store has given, and has left."""
    shown = (await api.client("admin").get("/v1/campaigns/autumn")).json()["store_budgets"]
    return {each["store_id"]: (each["granted"], each["left"]) for each in shown}


async def test_each_store_gives_what_it_may_and_no_more(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make(api)
    assert await decided(api, visit("a"), visit("b"), visit("c"), visit("d", OTHER), visit("e", OTHER), visit("f", NORD)) == [
        *("granted", "granted", "store_budget_exhausted"),
        *("granted", "store_budget_exhausted"),
        "store_budget_exhausted",
    ]
    assert await budgets(api) == {MITTE: (20, 0), NORD: (0, 0)}
    # Decided is decided, wherever it is reported again.
    assert await decided(api, visit("c"), visit("c", OTHER), visit("a", NORD)) == ["store_budget_exhausted"] * 2 + ["granted"]
    finding = await audit_caps(owner, api.brand)
    assert (finding.checked, finding.violations) == (2, 0)


async def test_a_store_that_is_not_listed_gives_nothing_unless_the_cap_says_how_much(api: Api) -> None:
    await make(api, {"per": "store", "window": "ever", "stores": {MITTE: 10}})
    assert await decided(api, visit("a"), visit("b", OTHER)) == ["granted", "store_budget_exhausted"]


async def test_a_report_names_its_store(api: Api) -> None:
    await make(api)
    answer = await api.client("messaging").post("/v1/grants", json=visit("a", None))
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["pointer"]) == (422, "/store_id")
    other = await api.client("messaging").post("/v1/grants", json=visit("a", metadata={"store_id": NORD}))
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "/metadata/store_id")


async def test_a_refusal_names_the_store_and_what_it_has_left(api: Api) -> None:
    await make(api, {"per": "store", "window": "ever", "max_points": 15})
    granted = await api.client("messaging").post("/v1/grants", json=visit("a"))
    assert "store" not in granted.json()
    for _ in range(2):
        refused = (await api.client("messaging").post("/v1/grants", json=visit("b"))).json()
        assert (refused["outcome"], refused["reason"]) == ("refused", "store_budget_exhausted")
        assert refused["store"] == {"store_id": MITTE, "points_left": 5}


async def test_who_funds_is_not_who_gives(api: Api) -> None:
    """A store cannot give more than it may though the campaign has plenty, nor anything that the campaign does not have."""
    await make(api, {"per": "store", "window": "ever", "max_points": 1_000}, budget=10)
    assert await decided(api, visit("a"), visit("b")) == ["granted", "budget_exhausted"]


async def test_a_period_begins_where_the_brand_keeps_its_books(api: Api) -> None:
    await make(api, LIMITS | {"window": "day"})
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert await decided(api, visit("a"), visit("b"), visit("c"), visit("d", occurred_at=yesterday)) == [
        *("granted", "granted", "store_budget_exhausted"),
        "granted",
    ]


async def test_another_cap_says_so_first(api: Api) -> None:
    await make(api, LIMITS, {"per": "campaign", "window": "ever", "max_grants": 2})
    assert await decided(api, visit("a"), visit("b"), visit("c")) == ["granted", "granted", "cap_reached"]


async def test_many_at_once_give_no_more_than_there_is(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make(api, {"per": "store", "window": "ever", "max_points": 50})
    reports = [visit(f"{store} {n}", store) for n in range(9) for store in (MITTE, NORD)]
    answers = await asyncio.gather(*(api.client("messaging").post("/v1/grants", json=report) for report in reports))
    outcomes = [answer.json()["reason"] or answer.json()["outcome"] for answer in answers]
    assert (outcomes.count("granted"), outcomes.count("store_budget_exhausted")) == (10, 8)
    assert (await audit_caps(owner, api.brand)).violations == 0


async def test_a_quote_says_what_the_store_has_left(api: Api) -> None:
    await make(api)
    await decided(api, visit("a"))
    for store, left, outcome in ((MITTE, 10, "granted"), (OTHER, 10, "granted"), (NORD, 0, "refused")):
        quote = (await api.client("care").post("/v1/grants/quote", json=visit("b", store))).json()
        assert (quote["outcome"], quote["caps"][0]["store_id"], quote["caps"][0]["points_left"]) == (outcome, store, left)
    assert quote["reason"] == "store_budget_exhausted"


async def test_what_waits_counts_where_it_happened_once_it_is_proved(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make(api, rules=[*CAMPAIGN["rules"], {"action": "reply", "points": 1}], caps=[LIMITS | {"action": "visit"}])
    weak = [visit(who, evidence="D") for who in ("a", "b", "c")]
    assert await decided(api, *weak) == ["stronger_evidence_needed"] * 3
    assert await budgets(api) == {MITTE: (0, 20), NORD: (0, 0)}
    assert await decided(api, *(visit(who, None, action="reply") for who in ("a", "b", "c"))) == ["granted"] * 3
    assert await decided(api, *weak) == ["granted", "granted", "store_budget_exhausted"]
    assert await budgets(api) == {MITTE: (20, 0), NORD: (0, 0)}
    assert (await audit_caps(owner, api.brand)).violations == 0


async def test_what_is_rejected_can_be_given_again(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make(api, rules=[CAMPAIGN["rules"][0] | {"hold_back_days": 3}], caps=[LIMITS | {"stores": {MITTE: 10}}])
    held = (await api.client("messaging").post("/v1/grants", json=visit("a"))).json()
    assert await decided(api, visit("b")) == ["store_budget_exhausted"]
    (await api.client("approver").post(f"/v1/grants/{held['grant_id']}/reject")).raise_for_status()
    assert await budgets(api) == {MITTE: (0, 10)}
    assert await decided(api, visit("c")) == ["awaiting_approval"]
    assert (await audit_caps(owner, api.brand)).violations == 0


@pytest.mark.usefixtures("remembers_shortly")
async def test_a_higher_limit_goes_on_counting_and_refusals_are_decided_again(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make(api)
    assert await decided(api, visit("a"), visit("b"), visit("c")) == ["granted", "granted", "store_budget_exhausted"]
    caps = [LIMITS | {"stores": {MITTE: 30}}]
    (await api.client("admin").post("/v1/campaigns/autumn/versions", json=TERMS | {"caps": caps})).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)
    assert await budgets(api) == {MITTE: (20, 10)}
    asked = {"reasons": ["store_budget_exhausted"]}
    again = (await api.client("approver").post("/v1/campaigns/autumn/redecide", json=asked)).json()
    assert (again["granted"], again["points"]) == (1, 10)
    assert await decided(api, visit("c"), visit("d")) == ["granted", "store_budget_exhausted"]
    assert (await audit_caps(owner, api.brand)).violations == 0


async def test_no_link_leads_to_a_campaign_with_budgets_of_stores(api: Api) -> None:
    await make(api, rules=[{"action": "click", "points": 10}], caps=[LIMITS])
    link = {
        "campaign": "autumn",
        "message_id": "m",
        "customer": {"id": "a"},
        "action": "click",
        "destination": "https://shop.example/",
    }
    (result,) = (await api.client("messaging").post("/v1/links", json={"links": [link]})).json()["results"]
    assert result["problem"]["errors"][0]["pointer"] == "/campaign"


async def test_grants_are_found_by_their_store(api: Api) -> None:
    await make(api, {"per": "customer", "window": "day", "max_grants": 5})
    # Where no store has a budget, a report may name one nevertheless.
    await decided(api, visit("a"), visit("b", OTHER), visit("c", None))
    care = api.client("care")
    today = api.brand.calendar.day(datetime.now(UTC)).isoformat()
    for query, found in ((f"store_id={OTHER}", ["b"]), (f"store_id={MITTE}&metadata=store_id:{MITTE}", ["a"])):
        answer = await care.get(f"/v1/grants?{query}&from={today}&to={today}")
        assert [each["message_id"] for each in answer.json()["items"]] == found, answer.text
    broad = await care.get(f"/v1/grants?store_id={MITTE}")
    assert (broad.status_code, broad.json()["code"]) == (422, "filter_too_broad")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"per": "store", "window": "day"}, "/caps/0"),
    ({"per": "store", "window": "rolling_day", "max_points": 5}, "/caps/0/window"),
    ({"per": "campaign", "window": "day", "stores": {MITTE: 5}}, "/caps/0/stores"),
    ({"per": "store", "window": "day", "stores": {}}, "/caps/0/stores"),
    ({"per": "store", "window": "day", "stores": {MITTE: -1}}, "/caps/0/stores"),
]


@pytest.mark.parametrize(("cap", "pointer"), WRONG, ids=[str(n) for n in range(len(WRONG))])
async def test_a_cap_per_store_that_makes_no_sense_is_refused(api: Api, cap: dict[str, Any], pointer: str) -> None:
    answer = await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"caps": [cap]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


DAMAGES = [
    "UPDATE ledger.cap_use SET points = points + 1 WHERE customer < 0",
    "DELETE FROM ledger.cap_use WHERE customer < 0",
    "UPDATE ledger.cap_use SET customer = customer - 1 WHERE customer < 0",
    "UPDATE rewards.campaign_version SET terms = jsonb_set(terms, '{caps,0,stores,mitte}', '9')",
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_audit_finds_a_store_that_gave_too_much_or_was_miscounted(
    api: Api, owner: asyncpg.Connection[Any], damage: str
) -> None:
    await make(api, {"per": "store", "window": "ever", "stores": {MITTE: 20}})
    assert await decided(api, visit("a"), visit("b")) == ["granted", "granted"]
    await owner.execute(damage)
    assert (await audit_caps(owner, api.brand)).violations >= 1


async def test_an_erased_grant_leaves_the_count_as_it_is(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make(api)
    assert await decided(api, visit("a"), visit("b")) == ["granted", "granted"]
    await owner.execute("UPDATE ledger.event SET metadata = NULL WHERE message_id = 'a'")
    assert (await audit_caps(owner, api.brand)).violations == 0
    await owner.execute("UPDATE ledger.cap_use SET points = 5 WHERE customer < 0")
    assert (await audit_caps(owner, api.brand)).violations == 1


def test_stores_are_counted_apart_and_below_every_customer() -> None:
    groups = [store_group(f"store {n}") for n in range(1_000)]
    assert len(set(groups)) == 1_000
    assert max(groups) < 0
    assert min(groups) >= -(2**60)
    assert store_group("mitte") == -234_028_585_491_750_135  # it is in the books for ever


def test_the_limit_of_a_store_is_its_own_or_that_of_all() -> None:
    cap = Cap("store", "day", max_points=10, stores={"a": 0, "b": 20})
    assert [cap.points_for(store) for store in ("a", "b", "c")] == [0, 20, 10]
    assert Cap("store", "day", stores={"a": 5}).points_for("c") == 0
    assert Cap("store", "day", max_grants=5).points_for("c") is None
