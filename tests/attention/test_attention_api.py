"""What a messaging system asks before it sends: how many messages a customer had of late, and what they earned her."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.attention import queries
from tests.api_fixtures import Api, make_brand, make_keys

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "points": 5, "min_evidence": "B"}, {"action": "reply", "points": 7, "hold_back_days": 30}],
}
NOTHING: dict[str, Any] = {"messages": 0, "last_message_at": None, "rewards": 0, "points": 0, "last_rewarded_at": None}
DAY = 86_400


@pytest.fixture
async def autumn(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def report(api: Api, customer: dict[str, str], message_id: str, channel: str = "email", **changed: Any) -> dict[str, Any]:
    body = {"campaign": "autumn", "message_id": message_id, "customer": customer, "action": "click", "channel": channel}
    return (await api.client("messaging").post("/v1/grants", json=body | changed)).raise_for_status().json()


async def mint(api: Api, *links: tuple[dict[str, str], str, str]) -> None:
    items = [
        {
            "campaign": "autumn",
            "message_id": message_id,
            "customer": customer,
            "action": "click",
            "channel": channel,
            "link": channel,
            "destination": "https://shop.example/",
        }
        for customer, message_id, channel in links
    ]
    answer = await api.client("messaging").post("/v1/links", json={"links": items})
    assert {result["status"] for result in answer.json()["results"]} <= {200, 201}


async def register(api: Api, customer: str, message_id: str, channel: str = "sms", **changed: Any) -> None:
    wanted = {"message_id": message_id, "customer": {"id": customer}, "campaign": "autumn", "channel": channel}
    body = {"messages": [wanted | {"provider": "twilio"} | changed]}
    (result,) = (await api.client("messaging").post("/v1/messages", json=body)).raise_for_status().json()["results"]
    assert result["status"] == 201, result


async def test_registered_messages_count_once_they_are_sent(autumn: Api) -> None:
    now = datetime.now(UTC)
    await register(autumn, "c-1", "m-1")
    await register(autumn, "c-1", "m-2", sent_at=(now - timedelta(days=3)).isoformat())
    await register(autumn, "c-1", "m-3", sent_at=(now - timedelta(days=31)).isoformat())
    await register(autumn, "c-1", "m-4", sent_at=(now + timedelta(hours=1)).isoformat())
    await register(autumn, "c-2", "m-1")
    # A message that has a link as well is one message.
    await mint(autumn, ({"id": "c-1"}, "m-1", "sms"), ({"id": "c-1"}, "m-5", "email"))
    told = await attention(autumn)
    assert [(each["channel"], each["messages"]) for each in told["channels"]] == [("email", 1), ("sms", 2)]
    assert (told["total"]["messages"], told["complete"]) == (3, True)
    assert (await attention(autumn, days=1))["total"]["messages"] == 2
    hotline = (await autumn.client("admin").get("/v1/hotline")).raise_for_status().json()
    assert (hotline["recipients"], hotline["complete"]) == (2, True)


async def attention(api: Api, own_id: str = "c-1", **query: int) -> dict[str, Any]:
    answer = await api.client("messaging").get(f"/v1/customers/{own_id}/attention", params=query)
    return answer.raise_for_status().json()


def counts(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["messages"], told["rewards"], told["points"]


def by_channel(told: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    return {each["channel"]: counts(each) for each in told["channels"]}


async def advance(api: Api, seconds: int) -> datetime:
    answer = await api.client("admin").post("/v1/test/clock/advance", json={"seconds": seconds})
    return datetime.fromisoformat(answer.raise_for_status().json()["now"])


ADA = {"id": "c-1"}


async def test_links_and_reports_of_one_message_are_one_message(autumn: Api) -> None:
    await mint(autumn, (ADA, "m-1", "email"), (ADA, "m-2", "email"), (ADA, "m-2", "sms"), (ADA, "m-3", "sms"))
    await report(autumn, ADA, "m-1")
    await report(autumn, ADA, "m-1")
    await report(autumn, ADA, "m-4", evidence="D")
    held = await report(autumn, ADA, "m-5", "voice", action="reply")
    await report(autumn, {"id": "c-2"}, "m-9")
    told = await attention(autumn)
    assert by_channel(told) == {"email": (3, 1, 5), "sms": (2, 0, 0), "voice": (1, 0, 0)}
    # m-2 went out on two channels, and is one message.
    assert (counts(told["total"]), told["known"], told["complete"]) == ((5, 1, 5), True, True)
    await autumn.client("approver").post(f"/v1/grants/{held['grant_id']}/mature")
    told = await attention(autumn)
    assert counts(told["total"]) == (5, 2, 12)
    until = datetime.fromisoformat(told["until"])
    assert until - datetime.fromisoformat(told["since"]) == timedelta(days=30)
    assert abs(until - datetime.now(UTC)) < timedelta(minutes=1)
    assert until >= datetime.fromisoformat(told["total"]["last_rewarded_at"]) > until - timedelta(minutes=1)
    assert told["total"]["last_message_at"] is not None


async def test_the_window_rolls_with_the_brands_clock(autumn: Api) -> None:
    await mint(autumn, (ADA, "m-1", "email"))
    await report(autumn, ADA, "m-2")
    await advance(autumn, 20 * DAY)
    await mint(autumn, (ADA, "m-3", "email"))
    await report(autumn, ADA, "m-3")
    assert counts((await attention(autumn))["total"]) == (3, 2, 10)
    assert counts((await attention(autumn, days=20))["total"]) == (1, 1, 5)
    await advance(autumn, 10 * DAY)
    assert counts((await attention(autumn))["total"]) == (1, 1, 5)
    assert counts((await attention(autumn, days=31))["total"]) == (3, 2, 10)
    # A click of today makes a message of long ago one of today's.
    await advance(autumn, 30 * DAY)
    await report(autumn, ADA, "m-1")
    assert counts((await attention(autumn, days=1))["total"]) == (1, 1, 5)
    await advance(autumn, 90 * DAY)
    assert (await attention(autumn, days=90)) | {"since": "", "until": ""} == {
        "customer": "c-1", "since": "", "until": "", "known": True, "complete": True, "total": NOTHING, "channels": [],
    }  # fmt: skip


async def test_it_covers_all_names_of_a_merged_customer(autumn: Api) -> None:
    await mint(autumn, (ADA, "m-1", "email"), ({"id": "c-2"}, "m-1", "email"), ({"email": "ada@example.org"}, "m-2", "sms"))
    for customer in (ADA, {"id": "c-2"}):
        await report(autumn, customer, "m-1")
    await report(autumn, {"email": "ada@example.org"}, "m-3", "sms", evidence="D")
    assert counts((await attention(autumn))["total"]) == (1, 1, 5)
    client = autumn.client("messaging")
    await client.post("/v1/customers/c-2/merge", json={"from": ADA})
    (await client.put("/v1/customers/c-2", json={"email": "ada@example.org"})).raise_for_status()
    for own_id in ("c-1", "c-2"):
        told = await attention(autumn, own_id)
        assert by_channel(told) == {"email": (1, 2, 10), "sms": (2, 0, 0)}
    await report(autumn, ADA, "m-4")
    assert counts((await attention(autumn, "c-2"))["total"]) == (4, 3, 15)


async def test_many_are_asked_for_at_once(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await mint(autumn, (ADA, "m-1", "email"))
    await report(autumn, {"email": "ada@example.org"}, "m-1", "sms")
    people: list[dict[str, Any]] = [{"id": f"c-{n}"} for n in range(10_000)]
    people[1_000] = {"email": "Ada@example.org"}
    people[2_000] = {"phone": "030 901820"}
    people[3_000] = {"name": "Ada"}
    before = await owner.fetchval("SELECT count(*) FROM rewards.customer")
    answer = await autumn.client("storefront").post("/v1/customers/attention?days=7", json={"customers": people})
    told = answer.raise_for_status().json()
    assert datetime.fromisoformat(told["until"]) - datetime.fromisoformat(told["since"]) == timedelta(days=7)
    results = told["results"]
    assert [result["index"] for result in results] == list(range(10_000))
    one = await attention(autumn, days=7)
    assert {name: results[1][name] for name in ("known", "complete", "total", "channels")} == {
        name: one[name] for name in ("known", "complete", "total", "channels")
    }
    assert by_channel(results[1_000]) == {"sms": (1, 1, 5)}
    assert [results[n]["problem"]["errors"][0]["pointer"] for n in (2_000, 3_000)] == ["/phone", "/name"]
    assert results[4_000] == {
        "index": 4_000, "status": 200, "known": False, "complete": True, "total": NOTHING, "channels": [],
    }  # fmt: skip
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == before
    too_many = await autumn.client("storefront").post("/v1/customers/attention", json={"customers": [*people, ADA]})
    assert too_many.status_code == 422


@pytest.mark.parametrize("days", ["0", "91", "-1", "1.5", "many"])
async def test_a_span_is_of_1_to_90_days(autumn: Api, days: str) -> None:
    for call in (
        autumn.client("storefront").get("/v1/customers/c-1/attention", params={"days": days}),
        autumn.client("storefront").post("/v1/customers/attention", params={"days": days}, json={"customers": [ADA]}),
    ):
        answer = await call
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?days")


async def test_nothing_is_told_without_the_scope_or_of_another_brands_customers(
    autumn: Api, owner: asyncpg.Connection[Any]
) -> None:
    await report(autumn, ADA, "m-1")
    keys = await make_keys(owner, await make_brand(owner, "another"))
    answer = await autumn.client(key=keys["messaging"]).get("/v1/customers/c-1/attention")
    assert (answer.json()["known"], answer.json()["total"]) == (False, NOTHING)


async def test_of_very_many_links_it_says_at_least(autumn: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "LINKS_MAX", 3)
    await mint(autumn, *((ADA, f"m-{n}", "email") for n in range(5)), *(({"id": "c-2"}, f"m-{n}", "email") for n in range(2)))
    told = await attention(autumn)
    assert (told["complete"], counts(told["total"])) == (False, (3, 0, 0))
    assert (await attention(autumn, "c-2"))["complete"] is True


steps = st.lists(
    st.tuples(
        st.sampled_from(["mint", "click", "weak click", "wait"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 3),
        st.sampled_from(["email", "sms"]),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=steps, days=st.integers(1, 90), merges=st.booleans())
async def test_it_is_what_a_recount_of_all_that_was_done_says(
    autumn: Api, steps: list[Any], days: int, merges: bool, owner: asyncpg.Connection[Any]
) -> None:
    """Random months of messages to two customers, who may turn out to be one."""
    example = await owner.fetchval("SELECT count(*) FROM rewards.customer")
    seen: dict[tuple[str, str, str], int] = {}
    paid: list[tuple[str, str, int]] = []
    minted: set[tuple[str, str, str]] = set()
    now = 0
    for what, who, n, channel, wait in steps:
        customer, message = {"id": f"{example}-{who}"}, f"{example}-m-{n}"
        match what:
            case "wait":
                await advance(autumn, wait * DAY)
                now += wait
            case "mint":
                await mint(autumn, (customer, message, channel))
                # The same link again is the link of before.
                if (who, channel, message) not in minted:
                    minted.add((who, channel, message))
                    seen[who, channel, message] = now
            case _:
                weak = what == "weak click"
                answer = await report(autumn, customer, message, channel, **({"evidence": "C"} if weak else {}))
                if not answer["replayed"]:
                    # What had waited on another channel is decided, and is on this one now.
                    if answer["outcome"] == "granted":
                        paid.append((who, channel, now))
                    seen[who, channel, message] = now
    people = ["a", "b"]
    if merges:
        for who in people:
            await autumn.client("messaging").put(f"/v1/customers/{example}-{who}", json={})
        await autumn.client("messaging").post(f"/v1/customers/{example}-a/merge", json={"from": {"id": f"{example}-b"}})
    for who in people:
        told = await attention(autumn, f"{example}-{who}", days=days)
        group = set(people) if merges else {who}
        rewards = [one for one in paid if one[0] in group and now - one[2] < days]
        assert (told["total"]["rewards"], told["total"]["points"]) == (len(rewards), 5 * len(rewards))
        lately = {(channel, message) for (by, channel, message), at in seen.items() if by in group and now - at < days}
        if all(step[0] != "weak click" for step in steps):
            assert told["total"]["messages"] == len({message for _, message in lately})
            for channel in ("email", "sms"):
                count = by_channel(told).get(channel, (0, 0, 0))[0]
                assert count == len({message for on, message in lately if on == channel})
