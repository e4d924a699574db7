"""What a customer does on a channel while she refuses it is not paid: by when it happened, however it is reported."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.observability import metrics
from tests.api_fixtures import BASE_URL
from tests.consents.conftest import CALL, HEARD_S, Called
from tests.processes import REMEMBERED_S
from tests.statements_sent import statements_sent

ADA = {"id": "c-1"}
NOT_PAID: dict[str, Any] = {
    "grant_id": None,
    "outcome": "ignored",
    "reason": "consent_refused",
    "points": 0,
    "balance": None,
    "balance_seq": None,
    "replayed": False,
    "ref": None,
}


def hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


async def test_who_refuses_calls_is_not_paid_for_them_and_is_for_all_else(called: Called) -> None:
    said = await called.say("c-1", "refused", source="national do-not-call list 2026-11")
    assert (said["recorded"], said["current"]["status"], said["current"]["channel"]) == (True, "refused", "voice")
    answer = await called.report(ADA)
    assert (answer.status_code, answer.json()) == (200, NOT_PAID)
    # Again it is answered the same, and nothing of it is in the book.
    assert (await called.report(ADA)).json() == NOT_PAID
    assert (await called.api.client("messaging").get("/v1/grants")).json()["items"] == []
    assert await called.outcome(ADA, action="click", channel="email") == "granted"
    assert await called.outcome({"id": "c-2"}) == "granted"


async def test_by_when_it_happened_and_not_by_when_it_is_reported(called: Called) -> None:
    since, until = hours_ago(20), hours_ago(10)
    await called.say("c-1", "refused", at=since)
    assert await called.outcome(ADA, message_id="before", occurred_at=since - timedelta(microseconds=1)) == "granted"
    assert await called.outcome(ADA, message_id="from then on", occurred_at=since) == "consent_refused"
    assert await called.outcome(ADA, message_id="now") == "consent_refused"
    await called.say("c-1", "granted", at=until)
    assert await called.outcome(ADA, message_id="still", occurred_at=until - timedelta(microseconds=1)) == "consent_refused"
    assert await called.outcome(ADA, message_id="again", occurred_at=until) == "granted"
    assert await called.outcome(ADA, message_id="now") == "granted"


async def test_an_older_statement_that_comes_late_is_history_and_changes_nothing_now(called: Called) -> None:
    await called.say("c-1", "granted", at=hours_ago(5), source="form")
    late = await called.say("c-1", "refused", at=hours_ago(50), source="letter")
    assert (late["recorded"], late["current"]["status"], late["current"]["source"]) == (True, "granted", "form")
    assert await called.outcome(ADA, message_id="m-1") == "granted"
    # What she did in between is judged by what she had said by then.
    assert await called.outcome(ADA, message_id="m-2", occurred_at=hours_ago(20)) == "consent_refused"
    found = await called.consents("c-1")
    assert [each["source"] for each in found["current"]] == ["form"]
    assert [each["source"] for each in found["history"]] == ["form", "letter"]


async def test_at_equal_times_the_refusal_holds(called: Called) -> None:
    at = hours_ago(3)
    for own_id, order in (("c-1", ("granted", "refused")), ("c-2", ("refused", "granted"))):
        said = [await called.say(own_id, status, at=at) for status in order]
        assert said[-1]["current"]["status"] == "refused"
        assert await called.outcome({"id": own_id}) == "consent_refused"


async def test_the_same_again_changes_nothing(called: Called, owner: asyncpg.Connection[Any]) -> None:
    async def kept() -> list[Any]:
        return [
            *await owner.fetch("SELECT * FROM rewards.consent ORDER BY consent_no"),
            *await owner.fetch("SELECT customer, refused, consent_no FROM rewards.customer ORDER BY customer"),
            await owner.fetchval("SELECT sum(consent_no) FROM rewards.brand"),
        ]

    times: list[dict[str, Any]] = [{"at": hours_ago(2)}, {}]
    for said in times:
        first = await called.say("c-1", "refused", **said)
        before = await kept()
        again = await called.say("c-1", "refused", **said)
        assert again == first | {"recorded": False}
        assert await kept() == before
    # Told without a time by another source it is news; nothing else follows from it.
    assert (await called.say("c-1", "refused", source="list"))["recorded"] is True
    assert len((await called.consents("c-1"))["history"]) == 2
    assert await called.outcome(ADA) == "consent_refused"


async def test_what_was_decided_before_stays_decided_for_whoever_asks_again(called: Called) -> None:
    opened: dict[str, Any] = {"action": "open", "channel": "email", "message_id": "m-1"}
    paid = await called.report(ADA)
    assert paid.json()["outcome"] == "granted"
    assert await called.outcome(ADA, **opened, evidence="D") == "stronger_evidence_needed"
    for channel in ("voice", "email"):
        await called.say("c-1", "refused", channel=channel)
    again = await called.report(ADA)
    assert (again.status_code, again.json()) == (200, paid.json() | {"replayed": True})
    # It still waits, and what she does where she refuses it does not pay it.
    assert await called.outcome(ADA, **opened, evidence="D") == "stronger_evidence_needed"
    assert await called.outcome(ADA, **opened, evidence="A") == "consent_refused"
    batch = [CALL | {"customer": ADA}, CALL | {"customer": ADA, "message_id": "call-2"}, CALL | {"customer": {"id": "c-2"}}]
    answer = await called.api.client("messaging").post("/v1/grants/batch", json=batch)
    results = [(each["outcome"], each["reason"], each["replayed"]) for each in answer.json()["results"]]
    assert results == [("granted", None, True), ("ignored", "consent_refused", False), ("granted", None, False)]


async def test_a_number_on_a_list_is_honoured_before_anybody_knows_her(called: Called) -> None:
    phone = {"phone": "+4930901820"}
    (listed,) = await called.list({"customer": phone, "channel": "voice", "status": "refused", "source": "list 2026-11"})
    assert (listed["status"], listed["recorded"]) == (200, True)
    assert await called.outcome({"phone": "+49 (30) 901-820"}) == "consent_refused"
    # Also when she comes with an id of hers, whom nobody knew, and then under that id alone.
    assert await called.outcome({"id": "c-1"} | phone, message_id="call-2") == "consent_refused"
    assert await called.outcome({"id": "c-1"}, message_id="call-3") == "consent_refused"
    assert [each["source"] for each in (await called.consents("c-1"))["current"]] == ["list 2026-11"]


async def test_a_number_on_a_list_is_not_called_under_the_id_of_another(called: Called) -> None:
    phone = {"phone": "+4930901820"}
    assert await called.outcome({"id": "c-1"}) == "granted"
    await called.list({"customer": phone, "channel": "voice", "status": "refused", "source": "list"})
    for again in range(2):
        # Two customers, as long as nobody says that they are one.
        assert await called.outcome({"id": "c-1"} | phone, message_id=f"both {again}") == "consent_refused"
        batch = [
            CALL | {"customer": {"id": "c-1"} | phone, "message_id": "b"},
            CALL | {"customer": ADA, "message_id": f"a-{again}"},
        ]
        results = (await called.api.client("messaging").post("/v1/grants/batch", json=batch)).json()["results"]
        assert [each["reason"] or each["outcome"] for each in results] == ["consent_refused", "granted"]


async def test_the_fast_path_answers_as_the_framework(called: Called) -> None:
    await called.say("c-1", "refused", at=hours_ago(2))
    client = called.api.client("messaging")
    for changed in ({}, {"ref": "r-1"}, {"occurred_at": hours_ago(3).isoformat()}, {"channel": "email", "action": "click"}):
        body = json.dumps(CALL | {"customer": ADA} | changed)
        fast, framework = [
            await client.post(path, content=body, headers={"content-type": "application/json"})
            for path in ("/v1/grants", "/v1/grants?&")
        ]
        assert fast.json() | {"replayed": False} == framework.json() | {"replayed": False}
        if fast.json()["outcome"] == "ignored":
            assert (fast.status_code, framework.status_code) == (200, 200)
            assert fast.content == framework.content


async def mint(called: Called, **changed: Any) -> dict[str, Any]:
    item = {
        "campaign": "autumn",
        "message_id": "m-1",
        "customer": ADA,
        "action": "click",
        "channel": "email",
        "destination": "https://shop.example/",
    } | changed
    answer = await called.api.client("messaging").post("/v1/links", json={"links": [item]})
    return answer.raise_for_status().json()["results"][0]


async def claim(called: Called, link: dict[str, Any]) -> str:
    client = called.api.client(None)
    answer = await client.post(link["url"].removeprefix(BASE_URL))
    return (await client.get(answer.headers["location"])).text


async def test_a_link_of_before_keeps_its_promise_and_there_is_no_new_one(called: Called) -> None:
    link = await mint(called)
    # Links are known to the second.
    await asyncio.sleep(1.1)
    await called.say("c-1", "refused", channel="email")
    refused = await mint(called, message_id="m-2")
    assert (refused["status"], refused["problem"]["code"]) == (409, "consent_refused")
    assert (await mint(called, message_id="m-3", customer={"id": "c-2"}))["status"] == 201
    assert await mint(called) == link | {"status": 200}
    # The same click by somebody else's word is no promise of ours.
    assert await called.outcome(ADA, message_id="m-1", action="click", channel="email") == "consent_refused"
    assert "5 Lumens added" in await claim(called, link)
    assert "already have these" in await claim(called, link)
    await called.say("c-1", "granted", channel="email")
    assert (await mint(called, message_id="m-2"))["status"] == 201


async def test_a_link_that_was_minted_after_she_had_refused_earns_nothing(called: Called) -> None:
    link = await mint(called)
    await called.say("c-1", "refused", channel="email", at=hours_ago(1))
    page = await called.api.client(None).get(link["url"].removeprefix(BASE_URL))
    assert "<button" not in page.text
    assert "Nothing to earn" in await claim(called, link)
    assert (await mint(called))["problem"]["code"] == "consent_refused"


async def test_a_refusal_by_the_budget_is_not_decided_anew_where_she_had_refused(called: Called) -> None:
    small = {
        "id": "small", "name": "Small", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z", "budget": 1,
        "rules": [{"action": "voice.call_completed", "points": 10}],
    }  # fmt: skip
    (await called.api.client("admin").post("/v1/campaigns", json=small)).raise_for_status()
    for own_id in ("c-1", "c-2", "c-3"):
        when = {"occurred_at": hours_ago(5)}
        assert await called.outcome({"id": own_id}, campaign="small", **when) == "budget_exhausted"
    await called.say("c-1", "refused", at=hours_ago(6))
    await called.say("c-2", "refused", at=hours_ago(4))
    await called.api.client("finance").post(
        "/v1/campaigns/small/fund", json={"points": 100}, headers={"Idempotency-Key": "more"}
    )
    decided = (await called.api.client("approver").post("/v1/campaigns/small/redecide", json={})).json()
    assert (decided["decided"], decided["granted"]) == (2, 2)
    assert await called.outcome({"id": "c-1"}, campaign="small") == "budget_exhausted"


@pytest.mark.one_process("counts what this process has done")
async def test_what_is_not_paid_for_it_is_counted(called: Called) -> None:
    def counted() -> list[float]:
        return [
            metrics.REGISTRY.get_sample_value("rewards_consent_refused_total", {"what": what}) or 0
            for what in ("report", "claim", "link")
        ]

    link = await mint(called)
    before = counted()
    await called.say("c-1", "refused", at=hours_ago(1))
    await called.say("c-1", "refused", channel="email", at=hours_ago(1))
    await called.report(ADA)
    await claim(called, link)
    await mint(called, message_id="m-2")
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1, 1]


@pytest.mark.one_process("two processes whose memories are told apart")
async def test_another_process_hears_of_it_within_a_second(called: Called, other: Called) -> None:
    people = [ADA, {"id": "c-2"}, {"email": "ada@example.org"}]
    for process in (called, other):
        for n, who in enumerate(people):
            await process.outcome(who, message_id=f"warm {n}")
    await called.say("c-1", "refused")
    item = {"customer": {"email": "ada@example.org"}, "channel": "voice", "status": "refused", "source": "list"}
    await called.list(item)
    for who in (people[0], people[2]):
        assert await called.outcome(who, message_id="at once") == "consent_refused"
    await asyncio.sleep(HEARD_S)
    for who in (people[0], people[2]):
        assert await other.outcome(who, message_id="in time") == "consent_refused"
    assert await other.outcome(people[1], message_id="in time") == "granted"
    await called.say("c-1", "granted")
    await asyncio.sleep(HEARD_S)
    assert await other.outcome(ADA, message_id="again") == "granted"


@pytest.mark.one_process("two processes whose memories are told apart")
@pytest.mark.usefixtures("remembers_shortly")
async def test_a_merge_elsewhere_is_heard_of_as_a_refusal_is(called: Called, other: Called) -> None:
    await called.say("c-1", "refused")
    for process in (called, other):
        for own_id in ("c-1", "c-2", "c-3"):
            await process.outcome({"id": own_id}, message_id="warm")
    for survivor, name in (("c-1", "c-2"), ("c-3", "c-1")):
        answer = await called.api.client("messaging").post(f"/v1/customers/{survivor}/merge", json={"from": {"id": name}})
        assert answer.status_code == 200
    await asyncio.sleep(REMEMBERED_S)
    for process in (called, other):
        for own_id in ("c-1", "c-2", "c-3"):
            assert await process.outcome({"id": own_id}, message_id=f"after {own_id}") == "consent_refused"


@pytest.mark.one_process("two processes whose memories are told apart")
@pytest.mark.usefixtures("remembers_shortly")
async def test_a_list_that_is_longer_than_what_is_read_at_once_is_heard_of_too(
    called: Called, other: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.customers.directory.CONSENT_CHANGES_MAX", 3)
    people = [{"id": f"c-{n}"} for n in range(9)]
    for who in people:
        await other.outcome(who, message_id="warm")
    await called.list(*({"customer": who, "channel": "voice", "status": "refused", "source": "list"} for who in people[:8]))
    await asyncio.sleep(REMEMBERED_S)
    outcomes = [await other.outcome(who) for who in people]
    assert outcomes == ["consent_refused"] * 8 + ["granted"]


@pytest.mark.one_process("counts what this process asks of the database")
async def test_it_costs_nobody_a_statement_who_has_refused_nothing(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    await called.say("c-2", "refused")
    await called.outcome(ADA)
    # What the process does by itself meanwhile, in transactions of its own, is not for the customer.
    by_itself = {"", "BEGIN", "ROLLBACK"}
    statements = statements_sent(
        monkeypatch,
        lambda query: "key_of_hash" not in query and "clock_offset" not in query and query.strip(";") not in by_itself,
    )
    assert await called.outcome(ADA, message_id="another") == "granted"
    assert len(statements) == 1, statements
