"""A link names whom it was minted for, through merges and splits: one act is paid once, and to whose message it was."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import BASE_URL, Api
from tests.customers.calls import balance, check, grant, merge, put, split

LINK: dict[str, Any] = {
    "campaign": "autumn",
    "message_id": "m-1",
    "action": "click",
    "channel": "email",
    "destination": "https://shop.example/autumn",
}
Act = Callable[[Api], Awaitable[None]]
NAMES = {"own id": {"id": "c-2"}, "email": {"email": "bob@example.org"}}


async def mint(api: Api, customer: dict[str, str], **changed: Any) -> dict[str, Any]:
    answer = await api.client("messaging").post("/v1/links", json={"links": [LINK | {"customer": customer} | changed]})
    return answer.raise_for_status().json()["results"][0]


async def press(api: Api, path: str) -> None:
    """Press the button of a link's page, or of a code's."""
    answer = await api.client(None).post(path, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303, answer.text


async def by_link(api: Api, customer: dict[str, str]) -> Act:
    path = (await mint(api, customer))["url"].removeprefix(BASE_URL)
    return lambda process: press(process, path)


async def by_short_code(api: Api, customer: dict[str, str]) -> Act:
    path = (await mint(api, customer, short=True))["short_url"].removeprefix(BASE_URL)
    return lambda process: press(process, path)


async def by_handoff(api: Api, customer: dict[str, str]) -> Act:
    path = (await mint(api, customer, mode="handoff"))["url"].removeprefix(BASE_URL)

    async def follow(process: Api) -> None:
        visit = await process.client(None).get(path, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
        claimed = visit.headers["location"].partition("rewards_claim=")[2]
        (await process.client("messaging").post("/v1/claims", json={"claim": claimed})).raise_for_status()

    return follow


async def by_report(_: Api, customer: dict[str, str]) -> Act:
    async def report(process: Api) -> None:
        (await grant(process, customer)).raise_for_status()

    return report


WAYS: dict[str, Callable[[Api, dict[str, str]], Awaitable[Act]]] = {
    "link": by_link,
    "short code": by_short_code,
    "handoff": by_handoff,
    "report": by_report,
}


PAIRS = [(way, "report") for way in WAYS if way != "report"] + [("report", way) for way in WAYS if way != "report"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_an_act_on_a_message_is_paid_once_after_the_split_too(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any], first: str, second: str, name: str
) -> None:
    await put(funded, "c-1")
    await put(funded, "c-2", email="bob@example.org")
    await merge(funded, "c-1", id="c-2")
    # Both are minted while they are one.
    acts = [await WAYS[way](process, NAMES[name]) for way, process in ((first, funded), (second, other))]
    await split(funded, "c-1", id="c-2")
    for act, process in zip(acts, (other, funded), strict=True):
        await act(process)
    assert [(await balance(funded, own_id))["balance"] for own_id in ("c-1", "c-2")] == [0, 5]
    await check(funded, reader_pool)


STEPS = itertools.permutations(["mint", "merge", "act", "split", "report"])
ORDERS = [each for each in STEPS if each.index("mint") < each.index("act") and each.index("merge") < each.index("split")]


async def test_in_whichever_order_it_happens_the_message_pays_once(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    for story, order in enumerate(ORDERS):
        first, second = f"c-1-{story}", f"c-2-{story}"
        for own_id in (first, second):
            await put(funded, own_id)
        act: Act | None = None
        for step, process in zip(order, itertools.cycle((funded, other)), strict=False):
            match step:
                case "mint":
                    act = await by_link(process, {"id": second})
                case "merge":
                    await merge(process, first, id=second)
                case "split":
                    await split(process, first, id=second)
                case "act":
                    assert act is not None
                    await act(process)
                case _:
                    (await grant(process, {"id": second})).raise_for_status()
        assert sum([(await balance(funded, own_id))["balance"] for own_id in (first, second)]) == 5, order
    await check(funded, reader_pool)


async def test_numbers_for_offline_links_and_pages_are_of_whom_they_were_asked_for(funded: Api) -> None:
    for own_id in ("c-1", "c-2"):
        await grant(funded, {"id": own_id}, message_id=own_id)
    await grant(funded, {"id": "c-2"}, message_id="another")
    sender = funded.client("messaging")
    before = (await sender.post("/v1/link-numbers", json={"customers": [{"id": "c-2"}]})).json()
    await merge(funded, "c-1", id="c-2")
    assert (await sender.post("/v1/link-numbers", json={"customers": [{"id": "c-2"}]})).json() == before
    page = await sender.post("/v1/page-links", json={"pages": [{"customer": {"id": "c-2"}, "kind": "wallet"}]})
    path = page.raise_for_status().json()["results"][0]["url"].removeprefix(BASE_URL)
    reader = funded.client(None)

    async def shown() -> int:
        return (await reader.get(path, headers={"Accept": "application/json"})).raise_for_status().json()["balance"]

    assert await shown() == 15
    # The page that they were given does not become a window into somebody else's wallet.
    await split(funded, "c-1", id="c-2")
    assert await shown() == 10
