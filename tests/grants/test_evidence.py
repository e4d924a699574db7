"""Evidence: whatever order the reports of one act, or of a message's acts, come in, the end is the same and paid once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from ledger import audit
from tests.api_fixtures import Api
from tests.processes import REMEMBERED_S

OPEN, CLICK = 1, 5
RULES: list[dict[str, Any]] = [{"action": "open", "points": OPEN}, {"action": "click", "points": CLICK}]

Report = tuple[str, str, str]
"""An action, the evidence of it, and which link of the message it was done with."""


async def make_campaign(api: Api, **changed: Any) -> None:
    campaign = {
        "id": "autumn",
        "name": "Autumn",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "budget": 100_000,
        "rules": RULES,
    }
    (await api.client("admin").post("/v1/campaigns", json=campaign | changed)).raise_for_status()


def item(customer: str, report: Report, **changed: Any) -> dict[str, Any]:
    action, evidence, link = report
    return {
        "campaign": "autumn",
        "message_id": "m-1",
        "customer": {"id": customer},
        "action": action,
        "channel": "email",
        "evidence": evidence,
        "link": link or "hero",
        **changed,
    }


async def send(api: Api, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = await api.client("messaging").post("/v1/grants/batch", json=items)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert all(result["status"] < 300 for result in results), results
    return results


async def send_in_every_order(api: Api, reports: Sequence[Report], *, at_once: bool) -> list[str]:
    """Report them of a customer for each order: one after the other, or in one batch. Returns the customers."""
    orders = sorted(set(permutations(reports)))
    people = [f"c-{n}" for n in range(len(orders))]
    if at_once:
        await send(api, [item(who, report) for who, order in zip(people, orders, strict=True) for report in order])
    else:
        for turn in range(len(reports)):
            await send(api, [item(who, order[turn]) for who, order in zip(people, orders, strict=True)])
    return people


async def balance(api: Api, customer: str) -> int:
    answer = await api.client("storefront").get(f"/v1/customers/{customer}/balance")
    return answer.raise_for_status().json()["balance"]


async def decisions(api: Api, customer: str) -> dict[str, tuple[str, str | None, int]]:
    """What was decided on each of a customer's acts."""
    listed = await api.client("messaging").get("/v1/grants", params={"customer": customer})
    items = listed.raise_for_status().json()["items"]
    found = {each["action"] + each["qualifier"]: (each["outcome"], each["reason"], each["points"]) for each in items}
    assert len(found) == len(items)
    return found


async def check(api: Api, reader_pool: Any, people: Sequence[str], end: dict[str, tuple[str, str | None, int]]) -> None:
    """Every customer ends alike, and the books agree."""
    for who in people:
        assert await decisions(api, who) == end, who
        assert await balance(api, who) == sum(points for _, _, points in end.values()), who
    assert [finding for finding in await audit(reader_pool, api.brand.book) if finding.violations] == []


AT_ONCE = pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one batch"])
GRANTED = ("granted", None)
WAITING = ("waiting", "stronger_evidence_needed", 0)


@AT_ONCE
@pytest.mark.parametrize("min_evidence", ["A", "B", "C", "D"])
async def test_all_24_orders_of_one_acts_reports_end_alike(
    api: Api, reader_pool: Any, min_evidence: str, at_once: bool
) -> None:
    await make_campaign(api, rules=[{"action": "click", "points": CLICK, "min_evidence": min_evidence}])
    people = await send_in_every_order(api, [("click", grade, "") for grade in "XDCB"], at_once=at_once)
    assert len(people) == 24
    await check(api, reader_pool, people, {"click": WAITING if min_evidence == "A" else (*GRANTED, CLICK)})


SIBLINGS: list[tuple[str, list[Report], dict[str, tuple[str, str | None, int]]]] = [
    (
        "an open waits for a click",
        [("open", "D", ""), ("open", "D", ""), ("open", "X", ""), ("click", "B", "")],
        {"open": (*GRANTED, OPEN), "click": (*GRANTED, CLICK)},
    ),
    (
        "an open waits for a reply, which earns nothing",
        [("open", "D", ""), ("open", "D", ""), ("reply", "A", ""), ("click", "X", "")],
        {"open": (*GRANTED, OPEN)},
    ),
    (
        "an act that is paid as it looks human is no proof until it is one",
        [("open", "D", ""), ("click", "C", ""), ("click", "B", "")],
        {"open": (*GRANTED, OPEN), "click": (*GRANTED, CLICK)},
    ),
    (
        "what looks human proves nothing",
        [("open", "D", ""), ("click", "C", ""), ("reply", "C", "")],
        {"open": WAITING, "click": (*GRANTED, CLICK)},
    ),
    (
        "all that wait are paid",
        [("open", "D", ""), ("click", "D", ""), ("reply", "B", ""), ("reply", "X", "")],
        {"open": (*GRANTED, OPEN), "click": (*GRANTED, CLICK)},
    ),
    (
        "machines prove nothing",
        [("open", "D", ""), ("open", "X", ""), ("click", "X", ""), ("reply", "X", "")],
        {"open": WAITING},
    ),
]


@AT_ONCE
@pytest.mark.parametrize(("reports", "end"), [case[1:] for case in SIBLINGS], ids=[case[0] for case in SIBLINGS])
async def test_a_persons_act_pays_what_waits_on_the_message_in_any_order(
    api: Api, reader_pool: Any, reports: list[Report], end: Any, at_once: bool
) -> None:
    await make_campaign(api)
    await check(api, reader_pool, await send_in_every_order(api, reports, at_once=at_once), end)


@AT_ONCE
async def test_what_counts_per_link_proves_and_waits_for_its_own_evidence(api: Api, reader_pool: Any, at_once: bool) -> None:
    await make_campaign(api, rules=[RULES[0], {"action": "click", "points": CLICK, "once_per": "link"}])
    people = await send_in_every_order(
        api, [("open", "D", ""), ("click", "B", "hero"), ("click", "B", "footer"), ("click", "D", "weak")], at_once=at_once
    )
    clicks = {"clickhero": (*GRANTED, CLICK), "clickfooter": (*GRANTED, CLICK), "clickweak": WAITING}
    await check(api, reader_pool, people, {"open": (*GRANTED, OPEN), **clicks})


@AT_ONCE
@pytest.mark.parametrize(
    ("reports", "open_ends"),
    [
        ([("open", "D", ""), ("open", "B", ""), ("click", "B", "")], WAITING),
        ([("open", "D", ""), ("click", "B", ""), ("reply", "A", "")], (*GRANTED, OPEN)),
        ([("open", "B", ""), ("open", "A", ""), ("click", "B", "")], (*GRANTED, OPEN)),
    ],
    ids=["looks human", "another act", "itself"],
)
async def test_a_rule_that_asks_for_grade_a_takes_only_such_an_acts_word(
    api: Api, reader_pool: Any, reports: list[Report], open_ends: Any, at_once: bool
) -> None:
    await make_campaign(api, rules=[{"action": "open", "points": OPEN, "min_evidence": "A"}, RULES[1]])
    people = await send_in_every_order(api, reports, at_once=at_once)
    await check(api, reader_pool, people, {"open": open_ends, "click": (*GRANTED, CLICK)})


@AT_ONCE
@pytest.mark.parametrize("limit", ["max_grants", "max_points"])
async def test_a_cap_refuses_what_waited_as_it_would_have_refused_it_at_once(
    api: Api, reader_pool: Any, limit: str, at_once: bool
) -> None:
    cap = {"per": "customer", "window": "day", limit: 1 if limit == "max_grants" else CLICK}
    await make_campaign(api, caps=[cap])
    people = await send_in_every_order(api, [("open", "D", ""), ("click", "B", "")], at_once=at_once)
    await check(api, reader_pool, people, {"open": ("refused", "cap_reached", 0), "click": (*GRANTED, CLICK)})


@AT_ONCE
@pytest.mark.parametrize("order", [("open", "click"), ("click", "open")], ids="-".join)
async def test_an_empty_budget_refuses_what_waited(api: Api, reader_pool: Any, order: Sequence[str], at_once: bool) -> None:
    await make_campaign(api, budget=CLICK)
    items = [item("c-0", (action, "D" if action == "open" else "B", "")) for action in order]
    for batch in [items] if at_once else [[each] for each in items]:
        await send(api, batch)
    await check(api, reader_pool, ["c-0"], {"open": ("refused", "budget_exhausted", 0), "click": (*GRANTED, CLICK)})


@pytest.mark.usefixtures("remembers_shortly")
async def test_what_waits_is_paid_by_the_terms_of_its_own_version(api: Api, reader_pool: Any) -> None:
    await make_campaign(api)
    before = datetime.now(UTC)
    await asyncio.sleep(0.05)
    terms = {"name": "Autumn", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}
    # The new terms pay nothing for an open any more, and more for a click.
    rules = [{"action": "click", "points": 7}]
    (await api.client("admin").post("/v1/campaigns/autumn/versions", json=terms | {"rules": rules})).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)
    late = item("c-0", ("open", "D", ""), occurred_at=before.isoformat())
    await send(api, [late])
    await send(api, [item("c-0", ("click", "B", ""))])
    await send(api, [item("c-1", ("click", "B", ""))])
    await send(api, [late | {"customer": {"id": "c-1"}}])
    await check(api, reader_pool, ["c-0", "c-1"], {"open": (*GRANTED, OPEN), "click": (*GRANTED, 7)})


async def test_a_proof_is_of_one_message_and_one_campaign(api: Api) -> None:
    await make_campaign(api)
    await make_campaign(api, id="winter")
    await send(api, [item("c-0", ("reply", "A", "")), item("c-0", ("click", "B", ""), campaign="winter")])
    opens = [{}, {"message_id": "m-2"}, {"campaign": "winter"}, {"customer": {"id": "c-1"}}]
    results = await send(api, [item("c-0", ("open", "D", "")) | change for change in opens])
    assert [result["outcome"] for result in results] == ["granted", "waiting", "granted", "waiting"]


async def test_an_act_that_only_proves_is_answered_as_before(api: Api) -> None:
    await make_campaign(api)
    for _ in range(2):
        answer = await api.client("messaging").post("/v1/grants", json=item("c-0", ("reply", "A", "")))
        assert (answer.status_code, answer.json()["outcome"], answer.json()["reason"]) == (200, "ignored", "no_rule")
        assert answer.json()["grant_id"] is answer.json()["balance"] is None
    assert await decisions(api, "c-0") == {}


async def test_an_act_after_the_campaign_or_while_it_is_paused_proves_nothing(api: Api) -> None:
    now = datetime.now(UTC)
    await make_campaign(api, ends_at=(now - timedelta(hours=1)).isoformat())
    during = (now - timedelta(hours=2)).isoformat()
    for order in (("open", "click"), ("click", "open")):
        customer = "-".join(order)
        for action in order:
            report = item(customer, (action, "D" if action == "open" else "B", ""))
            await send(api, [report | ({"occurred_at": during} if action == "open" else {})])
        assert await decisions(api, customer) == {"open": WAITING}
