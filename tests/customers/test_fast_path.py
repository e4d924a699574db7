"""A balance or a statement asked for plainly does not pass through the framework: nobody may notice."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.customers import actions
from tests.api_fixtures import Api
from tests.auth.test_quotas import within_a_minute
from tests.both_paths import Watch, watching

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "points": 5}, {"action": "visit", "points": 2, "hold_back_days": 3}],
}
BEARER = "Bearer rk_test_" + "x" * 43
# Path, method, headers, key, and whether the fast path takes it.
REQUESTS: dict[str, tuple[str, str, list[tuple[str, str]], str | None, bool]] = {
    "who has something": ("c-1", "GET", [], "messaging", True),
    "whom nobody knows": ("c-404", "GET", [], "messaging", True),
    "who was merged": ("c-2", "GET", [], "messaging", True),
    "our number": ("cus_1", "GET", [], "messaging", True),
    "an address": ("ada@example.org", "GET", [], "messaging", True),
    "no ASCII": ("%C3%BC-1", "GET", [], "messaging", False),
    "a space": ("c%201", "GET", [], "messaging", False),
    "a slash": ("c%2F1", "GET", [], "messaging", False),
    "a NUL": ("c%00", "GET", [], "messaging", False),
    "too long": ("c" * 257, "GET", [], "messaging", False),
    "as long as can be": ("c" * 256, "GET", [], "messaging", True),
    "no key": ("c-1", "GET", [], None, True),
    "another scheme": ("c-1", "GET", [("authorization", "Basic abc")], None, True),
    "an unknown key": ("c-1", "GET", [("authorization", BEARER)], None, True),
    "two keys": ("c-1", "GET", [("authorization", BEARER)], "messaging", True),
    "a key without the scope": ("c-1", "GET", [], "signup", True),
    "an empty body": ("c-1", "GET", [("content-length", "0")], "messaging", True),
    "a host that is none": ("c-1", "GET", [("host", "a b")], "messaging", False),
    "the head alone": ("c-1", "HEAD", [], "messaging", False),
    "another method": ("c-1", "DELETE", [], "messaging", False),
}


class Paths:
    """Both paths, and what the fast one has taken."""

    def __init__(self, api: Api, watch: Watch) -> None:
        self.api = api
        self.watch = watch

    async def both(self, what: str, name: str) -> tuple[Any, Any]:
        """What each answers and logs, without what is new each time."""
        customer, method, headers, key, _ = REQUESTS[name]
        answers: list[Any] = []
        for query in ("", "?&"):
            self.watch.clear_log()
            answer = await self.api.client(key).request(
                method, f"/v1/customers/{customer}/{what}{query}", headers=[("x-request-id", "req-1"), *headers]
            )
            line = self.watch.last_line()
            answers.append((answer.status_code, sorted(answer.headers.items()), answer.content, line))
        return answers[0], answers[1]


@pytest.fixture
async def paths(api: Api, owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Paths]:
    api.keys["signup"] = (await create_key(owner, "lumen", "signup", [Scope.GRANTS_WRITE], "A"))[0]
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    for customer in ("c-1", "c-2"):
        for action in ("click", "visit"):
            report = {"campaign": "autumn", "message_id": "m", "customer": {"id": customer}, "action": action, "channel": "sms"}
            (await api.client("messaging").post("/v1/grants", json=report)).raise_for_status()
    (await api.client("admin").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})).raise_for_status()
    with watching(monkeypatch) as watch:
        yield Paths(api, watch)


@pytest.mark.parametrize("what", ["balance", "statement"])
async def test_both_paths_answer_alike(paths: Paths, what: str) -> None:
    differ: dict[str, Any] = {}
    for name, (*_, is_fast) in REQUESTS.items():
        paths.watch.taken.clear()
        fast, framework = await paths.both(what, name)
        if fast != framework or bool(paths.watch.taken) != is_fast:
            differ[name] = (fast, framework, paths.watch.taken)
    assert not differ


async def test_it_is_the_balance_that_is_read(paths: Paths) -> None:
    (status, headers, body, line), _ = await paths.both("balance", "who was merged")
    shown = json.loads(body)
    assert (status, shown["balance"], shown["pending"], shown["merged_into"] is None) == (200, 10, 4, False)
    assert dict(headers)["cache-control"] == "no-store"
    assert (line["route"], line["brand"], line["status"]) == ("/v1/customers/{customer_id}/balance", "lumen", 200)


async def test_a_page_further_on_is_left_to_the_framework(paths: Paths) -> None:
    whole = (await paths.api.client("messaging").get("/v1/customers/c-1/statement")).json()
    assert paths.watch.taken == ["one"]
    first = (await paths.api.client("messaging").get("/v1/customers/c-1/statement?limit=1")).json()
    rest = (await paths.api.client("messaging").get(f"/v1/customers/c-1/statement?after={first['next']}")).json()
    assert paths.watch.taken == ["one"]
    assert first["items"] + rest["items"] == whole["items"]
    assert len(whole["items"]) > 1


async def test_a_quota_is_spent_and_told_on_both(paths: Paths, owner: asyncpg.Connection[Any]) -> None:
    async def attempt() -> None:
        key, _ = await create_key(owner, "lumen", "small", [Scope.CUSTOMERS_READ], "A", quota_per_minute=3)
        paths.api.keys["small"] = key
        seen: list[tuple[int, str]] = []
        for path in ("/v1/customers/c-1/balance", "/v1/customers/c-1/balance?&") * 2:
            answer = await paths.api.client("small").get(path)
            seen.append((answer.status_code, answer.headers["ratelimit"].split(";")[1]))
        assert seen == [(200, "r=2"), (200, "r=1"), (200, "r=0"), (429, "r=0")]

    await within_a_minute(owner, attempt)


@pytest.mark.parametrize("error", [OSError("away"), RuntimeError("our fault")])
async def test_what_fails_below_is_told_alike(paths: Paths, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(actions, "find", fail)
    fast, framework = await paths.both("balance", "who has something")
    assert fast == framework
    assert fast[0] in {500, 503}
    assert paths.watch.taken
