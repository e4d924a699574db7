"""Trial balance, log and cuts over HTTP."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import Api
from tests.finance.conftest import Till, make_campaign


@pytest.fixture
async def till(api: Api, owner: asyncpg.Connection[Any]) -> Till:
    """Posts to the book of the API's brand."""
    return Till(api.services.ledger, api.brand.book, await make_campaign(owner, api.brand))


async def get(api: Api, path: str, **query: Any) -> Any:
    answer = await api.client("finance").get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_trial_balance_balances_and_says_what_is_owed(api: Api, busy_till: Till) -> None:
    report = await get(api, "/v1/ledger/trial-balance")
    assert report["balanced"] is True
    assert report["debits"] == report["credits"] == sum(account["debits"] for account in report["accounts"])
    assert report["cut"]["seq"] == (await busy_till.ledger.head(busy_till.book)).seq
    owed: defaultdict[str, int] = defaultdict(int)
    for account in report["accounts"]:
        assert account["balance"] == account["credits"] - account["debits"]
        owed[account["kind"]] += account["balance"]
    balances = [await busy_till.ledger.balance(busy_till.book, customer) for customer in range(1, 9)]
    assert owed["lot"] == sum(balance.spendable for balance in balances)
    assert owed["held"] == sum(balance.held for balance in balances)
    assert sum(owed.values()) == 0
    names = [account["account"] for account in report["accounts"]]
    assert len(set(names)) == len(names)
    assert {"issuance", "budget:=autumn", "lot:engagement:never"} <= set(names)


async def test_a_cut_keeps_what_it_named(api: Api, till: Till) -> None:
    await till.fund(1_000)
    await till.grant(1, 100)
    finance = api.client("finance")
    made = await finance.post("/v1/cuts", json={"name": "2026-11"})
    assert (made.status_code, made.json()["seq"]) == (201, 2)
    then = await get(api, "/v1/ledger/trial-balance", cut="2026-11")
    await till.grant(2, 50)
    again = await finance.post("/v1/cuts", json={"name": "2026-11"})
    assert (again.status_code, again.json()) == (200, made.json())
    assert await get(api, "/v1/ledger/trial-balance", cut="2026-11") == then
    by_seq = await get(api, "/v1/ledger/trial-balance", cut="2")
    assert by_seq["accounts"] == then["accounts"]
    assert (await get(api, "/v1/ledger/trial-balance"))["debits"] == then["debits"] + 50
    before_all = await get(api, "/v1/ledger/trial-balance", cut="0")
    assert (before_all["accounts"], before_all["debits"], before_all["balanced"]) == ([], 0, True)


@pytest.mark.usefixtures("busy_till")
async def test_the_log_comes_in_pages_whose_end_is_the_next_ones_start(api: Api) -> None:
    pages: list[Any] = []
    after: Any = 0
    while after is not None:
        page = await get(api, "/v1/ledger/transfers", after=after, limit=7)
        pages.append(page["items"])
        after = page["next"]
    log = [transfer for page in pages for transfer in page]
    assert [transfer["seq"] for transfer in log] == list(range(1, len(log) + 1))
    assert log == (await get(api, "/v1/ledger/transfers", limit=1000))["items"]
    assert {transfer["verb"] for transfer in log} == {
        "fund",
        "grant",
        "authorize",
        "capture",
        "void",
        "refund",
        "merge",
        "split",
    }
    for transfer in log:
        assert (transfer["grant_id"] is not None) is (transfer["verb"] == "grant")
        assert (transfer["redemption_id"] is not None) is (transfer["verb"] not in {"fund", "grant", "merge", "split"})
    assert (await get(api, "/v1/ledger/transfers", cut="5"))["next"] is None
    assert len((await get(api, "/v1/ledger/transfers", cut="5"))["items"]) == 5


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"cut": "never-taken"}, 404, "not_found"),
        ({"cut": "1000000"}, 422, "invalid_field"),
        ({"cut": "99999999999999999999999"}, 422, "invalid_field"),
        ({"cut": "9" * 5_000}, 422, "invalid_field"),
        ({"cut": ""}, 422, "invalid_field"),
        ({"cut": "a\0b"}, 422, "invalid_field"),
        ({"cut": "²"}, 422, "invalid_field"),
    ],
)
async def test_a_cut_that_is_none_is_refused(api: Api, query: dict[str, str], status: int, code: str) -> None:
    for path in ("/v1/ledger/trial-balance", "/v1/ledger/transfers"):
        answer = await api.client("finance").get(path, params=query)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert [error["pointer"] for error in answer.json()["errors"]] == (["?cut"] if status == 422 else [])


@pytest.mark.parametrize("name", ["", "now", "123", "a b", "x" * 65, "-a", "a\n", 7, None])
async def test_a_cut_needs_a_name_that_is_one(api: Api, name: Any) -> None:
    answer = await api.client("finance").post("/v1/cuts", json={"name": name})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert answer.json()["errors"][0]["pointer"] == "/name"


async def test_each_call_needs_its_scope(api: Api) -> None:
    messaging = api.client("messaging")
    for answer in (
        await messaging.get("/v1/ledger/trial-balance"),
        await messaging.get("/v1/ledger/transfers"),
        await messaging.post("/v1/cuts", json={"name": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


async def test_the_log_is_filtered_by_what_moved(api: Api, busy_till: Till) -> None:
    log = (await get(api, "/v1/ledger/transfers", limit=1000))["items"]

    async def found(**query: Any) -> list[int]:
        page = await get(api, "/v1/ledger/transfers", limit=1000, **query)
        assert page["next"] is None
        return [transfer["seq"] for transfer in page["items"]]

    def those(**wanted: str) -> list[int]:
        return [each["seq"] for each in log if all(each[name] == value for name, value in wanted.items())]

    assert await found(verb="capture") == those(verb="capture")
    assert await found(verb="capture,refund") == sorted(those(verb="capture") + those(verb="refund"))
    assert await found(campaign="=autumn") == those(campaign="=autumn")
    assert await found(**{"class": "purchase"}) == []
    assert await found(**{"class": "engagement"}) == [transfer["seq"] for transfer in log]
    first_day = log[0]["accounting_date"]
    assert await found(**{"from": first_day, "verb": "void"}) == those(verb="void")
    assert await found(to="2020-01-01") == []
    few = await get(api, "/v1/ledger/transfers", verb="grant", limit=2)
    assert [transfer["seq"] for transfer in few["items"]] == those(verb="grant")[:2]
    rest = await found(verb="grant", after=few["next"])
    assert [*those(verb="grant")[:2], *rest] == those(verb="grant")


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ({"verb": "grants"}, "?verb", "invalid_field"),
        ({"verb": ""}, "?verb", "invalid_field"),
        ({"campaign": "none-such"}, "?campaign", "unknown_campaign"),
        ({"class": "gold"}, "?class", "invalid_field"),
        ({"from": "yesterday"}, "?from", "invalid_field"),
    ],
)
async def test_a_filter_that_is_none_is_refused(api: Api, query: dict[str, str], pointer: str, code: str) -> None:
    answer = await api.client("finance").get("/v1/ledger/transfers", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
