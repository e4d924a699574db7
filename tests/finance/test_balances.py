"""Every account's balance at a cut, over HTTP: the same bytes for ever, whatever is posted meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import Api
from tests.finance.conftest import Till, make_campaign


@pytest.fixture
async def till(api: Api, owner: asyncpg.Connection[Any]) -> Till:
    """Posts to the book of the API's brand."""
    return Till(api.services.ledger, api.brand.book, await make_campaign(owner, api.brand))


async def read(api: Api, cut: str, limit: int = 3) -> list[bytes]:
    """All pages at a cut, as they came."""
    pages: list[bytes] = []
    query: dict[str, Any] = {"cut": cut, "limit": limit}
    while True:
        answer = (await api.client("finance").get("/v1/ledger/balances", params=query)).raise_for_status()
        pages.append(answer.content)
        if answer.json()["next"] is None:
            return pages
        query["after"] = answer.json()["next"]


@pytest.mark.usefixtures("busy_till")
async def test_the_balances_add_up_to_the_trial_balance(api: Api) -> None:
    client = api.client("finance")
    balances = (await client.get("/v1/ledger/balances", params={"limit": 1000})).raise_for_status().json()
    report = (await client.get("/v1/ledger/trial-balance")).json()
    assert balances["cut"] == report["cut"]
    assert balances["next"] is None
    assert sum(account["debits"] for account in balances["items"]) == report["debits"]
    assert sum(account["balance"] for account in balances["items"]) == 0
    by_kind = {account["kind"] for account in report["accounts"]}
    assert {account["kind"] for account in balances["items"]} == by_kind
    names = [account["account"] for account in balances["items"]]
    assert len(set(names)) == len(names)
    for account in balances["items"]:
        assert (account["customer"] is not None) is (account["kind"] == "lot")
        assert (account["campaign"] is not None) is (account["kind"] == "budget")
        assert (account["redemption_id"] is not None) is (account["kind"] in {"held", "spent"})


async def test_two_reads_at_one_cut_are_the_same_bytes_while_others_write(api: Api, busy_till: Till) -> None:
    (await api.client("finance").post("/v1/cuts", json={"name": "close"})).raise_for_status()
    seq = (await busy_till.ledger.head(busy_till.book)).seq
    first = {cut: await read(api, cut) for cut in ("close", str(seq), "5", "0")}

    async def write(customer: int) -> None:
        # New customers, whose accounts lie before and between those that are read, and old ones.
        for n in range(20):
            await busy_till.grant(customer * 100 + n if n % 2 else customer, 1)

    writing = asyncio.gather(*(write(customer) for customer in range(1, 7)))
    reads = 0
    while not writing.done() or reads < 2:
        for cut, pages in first.items():
            assert await read(api, cut) == pages
        reads += 1
    await writing
    assert (await busy_till.ledger.head(busy_till.book)).seq == seq + 120


async def test_a_page_that_is_none_is_refused(api: Api) -> None:
    for after in ("", "0" * 31, "G" * 32, "0" * 33):
        answer = await api.client("finance").get("/v1/ledger/balances", params={"after": after})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?after")
    assert (await api.client("messaging").get("/v1/ledger/balances")).json()["code"] == "missing_scope"
