"""What was said is kept for ever, in lists of ten thousand too; what holds follows from it, in whichever order it came."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.customers import actions as customers
from service.customers.opt_outs import SWITCHES_MAX, has_refused
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.storage.database import APPLICATION_ROLE, READER_ROLE, WORKER_ROLE, connect
from tests.api_fixtures import Api, make_brand, make_keys
from tests.conftest import Database
from tests.consents.conftest import Called
from tests.processes import REMEMBERED_S

Owner: TypeAlias = "asyncpg.Connection[Any]"

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def test_it_is_shown_by_channel_and_in_pages_latest_first(called: Called) -> None:
    for n in range(5):
        await called.say("c-1", ("refused", "granted")[n % 2], at=BEGIN + n * HOUR, source=f"form {n}")
    await called.say("c-1", "granted", channel="email", at=BEGIN, source="sign-up")
    found = await called.consents("c-1")
    assert [(each["channel"], each["status"], each["source"]) for each in found["current"]] == [
        ("email", "granted", "sign-up"),
        ("voice", "refused", "form 4"),
    ]
    assert [each["source"] for each in found["history"]] == ["form 4", "form 3", "form 2", "form 1", "sign-up", "form 0"]
    assert found["history"][0] | {"recorded_at": "", "said_of": ""} == {
        "channel": "voice",
        "status": "refused",
        "at": "2026-01-01T04:00:00Z",
        "source": "form 4",
        "recorded_at": "",
        "recorded_by": "key_2",
        "link_made_by": None,
        "reason": None,
        "said_of": "",
    }
    pages: list[dict[str, Any]] = []
    page: dict[str, Any] = {"limit": 2}
    while True:
        shown = await called.consents("c-1", **page)
        pages += shown["history"]
        if shown["next"] is None:
            break
        page = {"limit": 2, "after": shown["next"]}
    assert pages == found["history"]


async def test_of_whom_nothing_was_said_nothing_is_shown_and_nobody_is_made(called: Called, owner: Owner) -> None:
    assert await called.consents("c-1") == {"customer": "c-1", "known": False, "current": [], "history": [], "next": None}
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 0
    await called.say("c-1", "granted")
    assert (await called.consents("c-1"))["known"] is True


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"status": "maybe"}, "invalid_field", "/status"),
    ({"at": "2099-01-01T00:00:00Z"}, "invalid_field", "/at"),
    ({"at": "1969-12-31T23:59:59Z"}, "invalid_field", "/at"),
    ({"at": "0001-01-01T00:00:00+14:00"}, "invalid_field", "/at"),
    ({"at": "2026-01-01T00:00:00"}, "invalid_field", "/at"),
    ({"source": ""}, "invalid_field", "/source"),
    ({"source": "a\tb"}, "invalid_field", "/source"),
    ({"source": "ü" * 200}, "invalid_field", "/source"),
    ({"source": None}, "invalid_field", "/source"),
    ({"status": "granted", "reason": "stop"}, "invalid_field", "/reason"),
    ({"why": "x"}, "unknown_field", "/why"),
]
WRONG_ITEMS: list[tuple[dict[str, Any], str, str]] = [
    *WRONG,
    ({"channel": "Voice"}, "invalid_field", "/channel"),
    ({"customer": {}}, "invalid_field", "/customer"),
    ({"customer": {"phone": "030 901820"}}, "invalid_field", "/customer/phone"),
    ({"customer": {"id": "cus_1", "email": "ada@example.org"}}, "invalid_field", "/customer/id"),
]
GOOD: dict[str, Any] = {"status": "refused", "source": "list"}


@pytest.mark.parametrize(("changed", "code", "pointer"), WRONG)
async def test_what_is_wrong_is_named(called: Called, changed: dict[str, Any], code: str, pointer: str) -> None:
    path = "/v1/customers/c-1/consents/voice"
    refused = await called.api.client("messaging").put(path, json=GOOD | changed)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert (await called.consents("c-1"))["known"] is False


async def test_a_path_that_names_no_customer_or_channel_is_not_found(called: Called) -> None:
    for path in ("/v1/customers/cus_1/consents/voice", "/v1/customers/c-1/consents/Voice"):
        answer = await called.api.client("messaging").put(path, json=GOOD)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    answer = await called.api.client("messaging").put("/v1/customers/c-1/consents/a%0Ab", json=GOOD)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "{channel}")


async def test_a_clock_that_is_a_little_ahead_is_not_the_future(called: Called) -> None:
    await called.say("c-1", "refused", at=datetime.now(UTC) + timedelta(minutes=4))
    body = GOOD | {"at": (datetime.now(UTC) + timedelta(minutes=6)).isoformat()}
    late = await called.api.client("messaging").put("/v1/customers/c-1/consents/voice", json=body)
    assert late.json()["errors"][0]["pointer"] == "/at"


async def test_a_list_of_ten_thousand_is_one_request_and_what_is_wrong_concerns_itself(called: Called, owner: Owner) -> None:
    def item(n: int) -> dict[str, Any]:
        return {"customer": {"phone": f"+49301{n:06}"}, "channel": "voice", "status": "refused", "source": "list 2026-11"}

    assert await called.outcome({"phone": "+49301000007"}, message_id="before") == "granted"
    items = [item(n) for n in range(10_000)]
    places = [n * 700 + 3 for n in range(len(WRONG_ITEMS))]
    for place, (changed, _, _) in zip(places, WRONG_ITEMS, strict=True):
        items[place] = items[place] | changed
    lines = [json.dumps(each).encode() for each in items]
    lines[9_998] = b'{"customer": '
    answer = await called.api.client("messaging").post(
        "/v1/consents/batch", content=b"\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
    )
    results = answer.raise_for_status().json()["results"]
    assert [result["index"] for result in results] == list(range(10_000))
    assert [results[place]["problem"]["code"] for place in places] == [code for _, code, _ in WRONG_ITEMS]
    assert [results[place]["problem"]["errors"][0]["pointer"] for place in places] == [where for _, _, where in WRONG_ITEMS]
    assert results[9_998]["problem"]["code"] == "malformed_body"
    good = [result for result in results if "problem" not in result]
    assert len(good) == 10_000 - len(WRONG_ITEMS) - 1
    assert all(result["recorded"] and result["current"]["status"] == "refused" for result in good)
    assert await called.outcome({"phone": "+49301000007"}, message_id="after") == "consent_refused"
    assert await called.outcome({"phone": "+49301009999"}) == "consent_refused"
    assert await called.outcome({"phone": "+49301000003"}) == "granted"
    # The list of next month with the same people is theirs again; the same list is not.
    again = await called.list(*[item(n) for n in range(10_000) if n not in places])
    assert sum(result["recorded"] for result in again) == 1
    assert await owner.fetchval("SELECT count(*) FROM rewards.consent") == len(good) + 1
    too_many = await called.api.client("messaging").post("/v1/consents/batch", json=[item(n) for n in range(10_001)])
    assert too_many.status_code == 422


async def test_one_list_may_say_of_one_customer_what_it_likes(called: Called) -> None:
    def item(status: str, hour: int, **customer: str) -> dict[str, Any]:
        at = (BEGIN + hour * HOUR).isoformat()
        return {"customer": customer, "channel": "voice", "status": status, "source": "list", "at": at}

    await called.list({"customer": {"id": "c-1", "phone": "+4930901820"}, "channel": "sms", "status": "granted", "source": "x"})
    results = await called.list(
        item("refused", 1, id="c-1"),
        item("granted", 3, phone="+4930901820"),
        item("refused", 2, id="c-1"),
        item("refused", 1, phone="+4930901820"),
    )
    assert [(each["recorded"], each["current"]["status"]) for each in results] == [
        (True, "granted"),
        (True, "granted"),
        (True, "granted"),
        (False, "granted"),
    ]
    assert len((await called.consents("c-1"))["history"]) == 4


async def test_one_needs_the_scope_and_finds_only_her_own_brands(called: Called, owner: Owner) -> None:
    await called.say("c-1", "refused")
    for key, method, path in (
        ("storefront", "PUT", "/v1/customers/c-1/consents/voice"),
        ("storefront", "POST", "/v1/consents/batch"),
    ):
        answer = await called.api.client(key).request(method, path, json=GOOD)
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    brand = await make_brand(owner, "another")
    keys = await make_keys(owner, brand)
    answer = await called.api.client(key=keys["messaging"]).get("/v1/customers/c-1/consents")
    assert answer.json()["known"] is False


async def test_no_role_of_the_service_can_take_back_what_was_said(called: Called, database: Database) -> None:
    await called.say("c-1", "refused")
    for role in (APPLICATION_ROLE, WORKER_ROLE, READER_ROLE):
        connection = await connect(database.application_url, role)
        for tampering in (
            "UPDATE rewards.consent SET refused = false",
            "DELETE FROM rewards.consent",
            "TRUNCATE rewards.consent",
            "UPDATE rewards.customer SET created_at = now()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(tampering)
        await connection.close()


async def test_a_merge_is_one_story_of_all_that_either_had_said(called: Called) -> None:
    await called.say("c-1", "refused", at=BEGIN + 2 * HOUR, source="one")
    await called.say("c-2", "granted", at=BEGIN + 5 * HOUR, source="two")
    await called.say("c-2", "refused", channel="sms", at=BEGIN, source="two")
    await called.say("c-3", "refused", at=BEGIN + 5 * HOUR, source="three")
    merged = await called.api.client("messaging").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})
    assert merged.status_code == 200
    for own_id in ("c-1", "c-2"):
        found = await called.consents(own_id)
        assert [(each["channel"], each["status"], each["source"]) for each in found["current"]] == [
            ("sms", "refused", "two"),
            ("voice", "granted", "two"),
        ]
        assert len({each["said_of"] for each in found["history"]}) == 2
        assert await called.outcome({"id": own_id}, message_id=own_id) == "granted"
        assert await called.outcome({"id": own_id}, action="click", channel="sms") == "consent_refused"
        between = {"message_id": "between", "occurred_at": BEGIN + 3 * HOUR}
        assert await called.outcome({"id": own_id}, **between) == "consent_refused"
    # The same of the one who was merged, under either name, is not new; at equal times the refusal holds.
    assert (await called.say("c-1", "granted", at=BEGIN + 5 * HOUR, source="two"))["recorded"] is False
    await called.api.client("messaging").post("/v1/customers/c-3/merge", json={"from": {"id": "c-2"}})
    for own_id in ("c-1", "c-2", "c-3"):
        assert await called.outcome({"id": own_id}, message_id=f"then {own_id}") == "consent_refused"


@pytest.mark.usefixtures("remembers_shortly")
async def test_a_split_leaves_each_what_was_said_of_her(called: Called, other: Called) -> None:
    client = called.api.client("messaging")
    await called.outcome({"id": "c-1"}, message_id="known")
    await called.say("c-2", "refused")
    (await client.post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})).raise_for_status()
    # Said while they were one, of each under her own name.
    await called.say("c-1", "refused", channel="sms")
    await other.say("c-2", "refused", channel="email")
    for own_id in ("c-1", "c-2"):
        for channel in ("voice", "sms", "email"):
            assert await other.outcome({"id": own_id}, action="click", channel=channel) == "consent_refused"
    (await client.post("/v1/customers/c-1/split", json={"customer": {"id": "c-2"}})).raise_for_status()
    for process in (called, other):
        if process is other:
            await asyncio.sleep(REMEMBERED_S)
        for own_id, refused in (("c-1", {"sms"}), ("c-2", {"voice", "email"})):
            found = await process.consents(own_id)
            assert {each["channel"] for each in found["current"] if each["status"] == "refused"} == refused
            for channel in ("voice", "sms", "email"):
                act = {"message_id": f"then {own_id} {channel}", "action": "click", "channel": channel}
                was = await process.outcome({"id": own_id}, **act)
                assert was == ("consent_refused" if channel in refused else "granted"), (own_id, channel)
    again = await called.say("c-2", "refused", channel="email")
    assert again["recorded"] is False


async def test_an_address_that_is_attached_brings_what_it_refused(called: Called) -> None:
    await called.outcome({"id": "c-1"}, message_id="known")
    await called.list({"customer": {"phone": "+4930901820"}, "channel": "voice", "status": "refused", "source": "list"})
    assert await called.outcome({"id": "c-1"}, message_id="m-1") == "granted"
    put = await called.api.client("messaging").put("/v1/customers/c-1", json={"phone": "+4930901820"})
    assert put.json()["merged"] == 1
    # The process that is asked next may be another, which hears of it a moment later.
    await asyncio.sleep(REMEMBERED_S)
    assert await called.outcome({"id": "c-1"}, message_id="m-2") == "consent_refused"


@pytest.mark.one_process("looks at what this process knows")
async def test_the_last_turns_count(called: Called) -> None:
    items = [
        {
            "customer": {"id": "c-1"},
            "channel": "voice",
            "status": ("refused", "granted")[n % 2],
            "source": "list",
            "at": (BEGIN + n * HOUR).isoformat(),
        }
        for n in range(SWITCHES_MAX + 5)
    ]
    await called.list(*items)
    (known,) = await customers.resolve(called.api.services, called.api.brand, [CustomerRef(id="c-1")])
    assert isinstance(known, Customer)
    ((channel, times),) = known.refused
    assert (channel, len(times)) == ("voice", SWITCHES_MAX - 1)
    for n in range(6, SWITCHES_MAX + 6):
        assert has_refused(known.refused, "voice", BEGIN + (n + 0.5) * HOUR) == (n % 2 == 0 or n >= SWITCHES_MAX + 4)


PEOPLE = 3
statements = st.tuples(
    st.just("say"), st.integers(0, PEOPLE - 1), st.sampled_from(["voice", "sms"]), st.booleans(), st.integers(0, 6)
)
merges = st.tuples(st.just("merge"), st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1))
_examples = itertools.count()


@pytest.mark.one_process("looks at what this process knows")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.one_of(statements, statements, merges), min_size=1, max_size=12))
async def test_what_holds_is_what_was_said_last_by_then_by_any_of_her_names(called: Called, steps: list[Any]) -> None:
    """In any order of statements and merges, at any time, on any channel."""
    example = next(_examples)
    groups = [{n} for n in range(PEOPLE)]
    said: list[tuple[int, str, bool, int]] = []
    for n in range(PEOPLE):
        await called.outcome({"id": f"{example}-{n}"}, action="click", channel="email")
    for step in steps:
        if step[0] == "say":
            _, who, channel, refuses, hour = step
            status = "refused" if refuses else "granted"
            answer = await called.say(f"{example}-{who}", status, channel=channel, at=BEGIN + hour * HOUR)
            group = next(group for group in groups if who in group)
            assert answer["recorded"] == (not any(one[1:] == (channel, refuses, hour) and one[0] in group for one in said))
            said.append((who, channel, refuses, hour))
        else:
            survivor, name = (f"{example}-{n}" for n in step[1:])
            merge = await called.api.client("messaging").post(f"/v1/customers/{survivor}/merge", json={"from": {"id": name}})
            assert merge.status_code == 200
            one, two = (next(group for group in groups if n in group) for n in step[1:])
            if one is not two:
                groups.remove(two)
                one |= two
    for group, channel in itertools.product(groups, ("voice", "sms")):
        for who in group:
            (known,) = await customers.resolve(called.api.services, called.api.brand, [CustomerRef(id=f"{example}-{who}")])
            assert isinstance(known, Customer)
            for half in range(15):
                told = [(hour, refuses) for by, on, refuses, hour in said if by in group and on == channel and 2 * hour <= half]
                expected = bool(told) and max(told)[1]
                assert has_refused(known.refused, channel, BEGIN + half * HOUR / 2) == expected


_SCANS = """
SELECT coalesce(sum(seq_scan), 0)::int AS whole FROM pg_stat_user_tables
WHERE schemaname = 'rewards' AND relname IN ('consent', 'customer', 'identity', 'brand')
"""


@pytest.mark.one_process("counts what this process reads")
async def test_no_table_is_read_whole_for_it(called: Called, owner: Owner) -> None:
    api: Api = called.api
    await owner.execute(
        """
        INSERT INTO rewards.customer (brand_id, book_id, confirmed)
        SELECT brand_id, book_id, true FROM rewards.brand, generate_series(1, 20000);
        INSERT INTO rewards.consent (brand_id, customer, channel, at, refused, source, recorded_at, recorded_by)
        SELECT 1, n, 'voice', now(), true, 'loaded', now(), 1 FROM generate_series(1, 20000) AS n
        """
    )
    async with api.services.pool.acquire() as connection:
        # What a connection has counted is told when it is idle for a while, or asked to.
        async def scans() -> int:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            return await connection.fetchval(_SCANS)

        before = await scans()
    for n in range(8):
        await called.say(f"c-{n % 3}", ("refused", "granted")[n % 2])
        await called.consents(f"c-{n % 3}")
    await called.api.client("messaging").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})
    for connection in [await api.services.pool.acquire() for _ in range(3)]:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await api.services.pool.release(connection)
    async with api.services.pool.acquire() as connection:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        assert await connection.fetchval(_SCANS) == before
