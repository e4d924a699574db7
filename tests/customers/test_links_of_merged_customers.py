"""A link names the customer it was minted for. She may be one with another by the time it is claimed."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import BASE_URL, Api
from tests.customers.calls import balance, check, grant, merge


async def mint(api: Api, own_id: str) -> str:
    """The path of a link to the click of the message ``m-1``."""
    item = {
        "campaign": "autumn",
        "message_id": "m-1",
        "customer": {"id": own_id},
        "action": "click",
        "channel": "email",
        "destination": "https://shop.example/autumn",
    }
    answer = await api.client("messaging").post("/v1/links", json={"links": [item]})
    return answer.raise_for_status().json()["results"][0]["url"].removeprefix(BASE_URL)


async def claim(api: Api, path: str) -> None:
    """Press the button."""
    answer = await api.client(None).post(path, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303


@pytest.mark.parametrize("reported_before", [True, False])
async def test_a_link_of_a_merged_customer_pays_the_survivor_once(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any], reported_before: bool
) -> None:
    paths = [await mint(process, own_id) for process in (funded, other) for own_id in ("c-1", "c-2")]
    if reported_before:
        await grant(other, {"id": "c-2"})
    await merge(funded, "c-1", id="c-2")
    # The other process remembers two customers.
    for path in (*reversed(paths), await mint(funded, "c-2")):
        for process in (other, funded):
            await claim(process, path)
    assert (await balance(funded, "c-1"))["balance"] == 5
    assert (await balance(other, "c-2"))["balance"] == 5
    assert (await grant(other, {"id": "c-2"})).json()["replayed"] is True
    await check(funded, reader_pool)
