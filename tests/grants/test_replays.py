"""What was decided is answered as it was, whatever has become of its campaign since; what can't be paid yet is not decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.api_fixtures import BASE_URL, Api
from tests.statements_sent import statements_sent

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1000,
    "rules": [
        {"action": "click", "points": 10},
        {"action": "open", "points": 1, "min_evidence": "B"},
        {"action": "visit", "points": 3, "once_per": "day"},
    ],
}
TERMS = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
ONLY_REPLIES = TERMS | {"rules": [{"action": "reply", "points": 9}]}
PROVED_BY_ANY_ACT = TERMS | {"rules": [{"action": "open", "points": 1, "min_evidence": "B"}]}
OVER = TERMS | {"ends_at": "2026-01-02T00:00:00Z"}
NOT_BEGUN = TERMS | {"starts_at": "2098-01-01T00:00:00Z"}


async def pause(api: Api) -> httpx.Response:
    return await api.client("admin").post("/v1/campaigns/autumn/pause")


async def refuse(api: Api) -> httpx.Response:
    return await api.client("admin").put("/v1/customers/c/consents/email", json={"status": "refused", "source": "test"})


def change(terms: dict[str, Any]) -> Any:
    async def changed(api: Api) -> httpx.Response:
        return await api.client("admin").post("/v1/campaigns/autumn/versions", json=terms)

    return changed


async def change_twice_long_ago(api: Api) -> httpx.Response:
    """The version that paid was succeeded so long ago that it is not remembered with the campaign."""
    await change(ONLY_REPLIES)(api)
    return await change(ONLY_REPLIES | {"name": "Winter"})(api)


HISTORIES = {
    "paused": pause,
    "over": change(OVER),
    "not begun": change(NOT_BEGUN),
    "without the rule": change(ONLY_REPLIES),
    "without the rule, proving something": change(PROVED_BY_ANY_ACT),
    "refused": refuse,
}


@pytest.fixture
async def autumn(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


def report(message_id: str = "m", **changed: Any) -> dict[str, Any]:
    sent = {"campaign": "autumn", "message_id": message_id, "customer": {"id": "c"}, "action": "click", "channel": "email"}
    return sent | changed


async def post(api: Api, **changed: Any) -> dict[str, Any]:
    answer = await api.client("messaging").post("/v1/grants", json=report(**changed))
    assert answer.is_success, answer.text
    return answer.json()


async def post_many(api: Api, *reports: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await api.client("messaging").post("/v1/grants/batch", json=list(reports))
    return answer.json()["results"]


async def mint(api: Api, message_id: str) -> str:
    link = report(message_id) | {"destination": "https://shop.example/autumn"}
    answer = await api.client("messaging").post("/v1/links", json={"links": [link]})
    return answer.json()["results"][0]["url"].removeprefix(BASE_URL)


async def claim(api: Api, path: str) -> str:
    answer = await api.client(None).post(path, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True)
    return answer.text


async def make_code(api: Api) -> str:
    batch = {"id": "packs", "campaign": "autumn", "action": "click", "channel": "web", "codes": 1}
    (await api.client("messaging").post("/v1/code-batches", json=batch)).raise_for_status()
    file = (await api.client("messaging").get("/v1/code-batches/packs/codes")).text
    return file.splitlines()[1].split(",")[1]


async def bring(api: Api, code: str) -> dict[str, Any]:
    answer = await api.client("messaging").post("/v1/code-claims", json={"code": code, "customer": {"id": "c"}})
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.parametrize("history", HISTORIES)
async def test_a_grant_answers_as_it_did_by_every_door(autumn: Api, history: str) -> None:
    link, code = await mint(autumn, "linked"), await make_code(autumn)
    clicked, visited = await post(autumn), await post(autumn, message_id="v", action="visit")
    waiting = await post(autumn, message_id="o", action="open")
    assert (clicked["outcome"], visited["outcome"], waiting["outcome"]) == ("granted", "granted", "waiting")
    brought = await bring(autumn, code)
    assert "10 Lumens added" in await claim(autumn, link)
    assert (await HISTORIES[history](autumn)).is_success

    balance = {"balance": 33, "replayed": True}
    assert _but_seq(await post(autumn)) == _but_seq(clicked | balance)
    assert _but_seq(await post(autumn, message_id="v", action="visit")) == _but_seq(visited | balance)
    many = await post_many(autumn, report(), report("new"), report("v", action="visit"), report("o", action="open"))
    assert [each["outcome"] for each in many] == ["granted", many[1]["outcome"], "granted", "waiting"]
    assert [each["replayed"] for each in many] == [True, False, True, True]
    assert many[1]["outcome"] == "ignored"
    quoted = await autumn.client("messaging").post("/v1/grants/quote", json=report())
    assert [quoted.json()[name] for name in ("outcome", "points", "replayed", "balance")] == ["granted", 10, True, 33]
    assert _but_seq(await bring(autumn, code)) == _but_seq(brought | balance)
    assert "10 Lumens" in await claim(autumn, link)
    seen = await autumn.client(None).get(link)
    assert "already" in seen.text.lower(), seen.text
    assert (await autumn.client("storefront").get("/v1/customers/c/balance")).json()["balance"] == 33


def _but_seq(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "balance_seq"}


@pytest.mark.one_process("makes versions older than they are, which are remembered")
async def test_a_grant_of_a_version_of_long_ago_answers_as_it_did(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    happened = (datetime.now(UTC) - timedelta(days=29)).isoformat()
    first = await post(autumn, action="visit", occurred_at=happened)
    await change_twice_long_ago(autumn)
    await owner.execute("UPDATE rewards.campaign_version SET created_at = created_at - interval '200 days'")
    again = await post(autumn, action="visit", occurred_at=happened)
    assert (again["grant_id"], again["outcome"], again["points"]) == (first["grant_id"], "granted", 3)


async def test_an_act_of_a_day_is_one_however_late_it_is_reported_again(autumn: Api) -> None:
    """More than 72 hours late it counts as that late, and a day later as a day later: yet it is the same act."""
    advance = autumn.client("admin")
    happened = (await advance.post("/v1/test/clock/advance", json={"seconds": 1})).json()["now"]
    (await advance.post("/v1/test/clock/advance", json={"seconds": 80 * 3600})).raise_for_status()
    first = await post(autumn, action="visit", occurred_at=happened)
    (await advance.post("/v1/test/clock/advance", json={"seconds": 24 * 3600})).raise_for_status()
    again = await post(autumn, action="visit", occurred_at=happened)
    assert (first["outcome"], again["outcome"]) == ("granted", "granted")
    assert (again["replayed"], again["grant_id"]) == (True, first["grant_id"])


@pytest.mark.one_process("counts what this process asks of the database")
async def test_many_replays_to_a_paused_campaign_are_as_many_statements_as_two(
    autumn: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is sent again, or quoted again, is looked up as a whole, also what its customers can spend."""
    sent = [report(f"m-{n}", customer={"id": f"c-{n % 40}"}) for n in range(60)]
    granted = await post_many(autumn, *sent)
    assert (await pause(autumn)).is_success
    # Keys, brands, campaigns and the book's clock are read again now and then, whichever request is served meanwhile.
    asked = statements_sent(
        monkeypatch,
        lambda query: (
            "rewards.identity" in query or "ledger.event" in query or ("ledger." in query and "clock_offset" not in query)
        ),
    )
    for path, seq in (("/v1/grants/batch", "balance_seq"), ("/v1/grants/quote/batch", "as_of")):
        statements: list[list[str]] = []
        for count in (2, 60):
            asked.clear()
            answer = await autumn.client("messaging").post(path, json=sent[:count])
            statements.append(list(asked))
            answers = answer.json()["results"]
            assert [each["outcome"] for each in answers] == ["granted"] * count
            assert [each["replayed"] for each in answers] == [True] * count
            assert [each["balance"] for each in answers] == [20 if n % 40 < 20 else 10 for n in range(count)]
            assert {each[seq] for each in answers} == {granted[-1]["balance_seq"]}
        assert statements[0] == statements[1]
        assert len(statements[0]) == 3, statements[0]


async def test_a_campaign_that_was_never_funded_says_so_and_pays_the_same_acts_once_it_is(api: Api) -> None:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"budget": 0})).raise_for_status()
    link, code = await mint(api, "linked"), await make_code(api)
    for _ in range(2):
        answer = await post(api)
        assert (answer["outcome"], answer["reason"], answer["grant_id"]) == ("ignored", "campaign_not_funded", None)
    (batched,) = await post_many(api, report("b"))
    assert (batched["status"], batched["outcome"], batched["reason"]) == (200, "ignored", "campaign_not_funded")
    quoted = (await api.client("messaging").post("/v1/grants/quote", json=report())).json()
    assert (quoted["outcome"], quoted["reason"], quoted["points"]) == ("ignored", "campaign_not_funded", 0)
    assert "Keep this link" in await claim(api, link)
    assert (await bring(api, code))["reason"] == "campaign_not_funded"
    totals = (await api.client("admin").get("/v1/campaigns/autumn/reconciliation")).json()["totals"]
    assert totals == []

    funding = {"points": 40}
    funded = await api.client("finance").post("/v1/campaigns/autumn/fund", json=funding, headers={"Idempotency-Key": "f"})
    assert funded.status_code == 201
    assert (await post(api))["outcome"] == "granted"
    assert (await post_many(api, report("b")))[0]["outcome"] == "granted"
    assert "10 Lumens added" in await claim(api, link)
    assert (await bring(api, code))["outcome"] == "granted"
    # A budget that is spent is another thing: that was decided, and stays so.
    spent = await post(api, message_id="too late")
    assert (spent["outcome"], spent["reason"], spent["replayed"]) == ("refused", "budget_exhausted", False)
    assert (await post(api, message_id="too late"))["replayed"] is True


async def test_what_waits_in_a_campaign_without_points_is_paid_by_proof_once_it_has_some(api: Api) -> None:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"budget": 0})).raise_for_status()
    assert (await post(api, action="open"))["outcome"] == "waiting"
    assert (await post(api))["reason"] == "campaign_not_funded"
    assert (await post(api, action="open"))["outcome"] == "waiting"
    await api.client("finance").post("/v1/campaigns/autumn/fund", json={"points": 40}, headers={"Idempotency-Key": "f"})
    assert (await post(api))["balance"] == 11
    assert (await post(api, action="open"))["outcome"] == "granted"
