"""The books as of an instant, over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import sweep
from ledger.testing import set_clock
from tests.api_fixtures import Api
from tests.finance.conftest import Till, make_campaign

PATHS = ("/v1/ledger/trial-balance", "/v1/ledger/balances", "/v1/ledger/transfers")
NEW_YEAR = datetime(2029, 12, 31, 23, tzinfo=UTC)
"""Midnight in the brand's zone."""


@pytest.fixture
async def till(api: Api, owner: asyncpg.Connection[Any]) -> Till:
    """Posts to the book of the API's brand, shortly before a new year."""
    till = Till(api.services.ledger, api.brand.book, await make_campaign(owner, api.brand))
    await set_clock(owner, till.book, NEW_YEAR - timedelta(hours=1))
    return till


async def get(api: Api, path: str, **query: Any) -> Any:
    answer = await api.client("finance").get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_points_that_died_at_midnight_are_not_owed_any_more(
    api: Api, owner: asyncpg.Connection[Any], till: Till, worker_pool: asyncpg.Pool[Any]
) -> None:
    await till.fund(1_000)
    await till.grant(1, 100, expires_on=date(2029, 12, 31))
    await till.grant(2, 30)
    await set_clock(owner, till.book, NEW_YEAR + timedelta(minutes=5))
    as_of = "2030-01-01T00:00:00+01:00"
    first = [await get(api, path, as_of=as_of) for path in PATHS]
    for answer in first:
        assert answer["cut"] == {"name": None, "seq": 3, "posted_at": "2029-12-31T22:00:00Z", "as_of": "2029-12-31T23:00:00Z"}
    owed = {account["account"]: account["balance"] for account in first[0]["accounts"]}
    assert (owed["lot:engagement:2029-12-31"], owed["lot:engagement:never"], owed["breakage:engagement"]) == (0, 30, 100)
    assert sum(account["balance"] for account in first[1]["items"]) == 0
    assert (await get(api, "/v1/ledger/trial-balance"))["cut"]["as_of"] is None

    while await sweep(worker_pool, till.book):
        pass
    again = [await get(api, path, as_of=as_of) for path in PATHS]
    assert again[:2] == first[:2]
    assert [transfer["verb"] for transfer in again[2]["items"]] == ["fund", "grant", "grant", "expire"]
    assert again[2]["items"][:3] == first[2]["items"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"as_of": "2029-12-31T22:30:00Z", "cut": "1"}, "invalid_field"),
        ({"as_of": "2029-12-31"}, "invalid_field"),
        ({"as_of": "2029-12-31T22:30:00"}, "invalid_field"),
        ({"as_of": "2029-12-31T22:30:00 01:00"}, "invalid_field"),
        ({"as_of": ""}, "invalid_field"),
        ({"as_of": "1700000000"}, "invalid_field"),
        ({"as_of": "0001-01-01T00:00:00+01:00"}, "invalid_field"),
        ({"as_of": "a\\0b"}, "invalid_field"),
        ({"as_of": "9999-12-31T23:59:59.999999Z"}, "instant_in_future"),
        ({"as_of": "2029-12-31T22:01:30Z"}, "instant_in_future"),
        ({"as_of": "2029-12-31T21:59:59.999999Z"}, "instant_before_book"),
        ({"as_of": "0001-01-01T00:00:00Z"}, "instant_before_book"),
    ],
)
async def test_an_instant_that_is_none_is_refused(api: Api, till: Till, query: dict[str, str], code: str) -> None:
    await till.fund(1)
    for path in PATHS:
        answer = await api.client("finance").get(path, params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert [error["pointer"] for error in answer.json()["errors"]] == ["?as_of"]
