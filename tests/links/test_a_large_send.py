"""A send to 24,000 of which machines open nine in ten: the budget stays as it was, and who really clicks is paid.

24,000 are more links than two calls may mint, and nine in ten of them more requests than may wait to be written, so that each
batch of the way (minting, writing, counting, settling) is filled several times. ``REWARDS_TEST_SENT=100000`` sends more.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Awaitable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from ledger import audit
from service.link_pages import lookup
from service.links.schemas import LINKS_MAX
from tests.api_fixtures import Api
from tests.asgi import status_of
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.fetchers import APPLE, CHROME_ON_WINDOWS, GMAIL_AHEAD, GMAIL_PROXY, PHONE

SENT = int(os.environ.get("REWARDS_TEST_SENT", "24000"))
OPENED_BY_MACHINES = SENT * 9 // 10
FOLLOWED_ONE_IN = 20
CLICKED = SENT // 20
BUDGET = 10_000_000
AT_ONCE = 50
SENT_AGO = timedelta(hours=2)

# Who fetches pictures before anybody has opened a message, roughly as often as it happens.
MACHINES = [APPLE] * 6 + [GMAIL_AHEAD] * 2 + ["", CHROME_ON_WINDOWS.replace("Chrome/", "HeadlessChrome/")]


def path_of(result: dict[str, Any]) -> str:
    url: str = result["url"]
    return urlsplit(url).path


async def mint(links: Links, people: Sequence[int], **changed: Any) -> dict[int, str]:
    """The path of a link for each of ``people``."""
    sent_at = (datetime.now(UTC) - SENT_AGO).isoformat()
    minted: dict[int, str] = {}
    for start in range(0, len(people), LINKS_MAX):
        part = people[start : start + LINKS_MAX]
        items = [links.item(f"C-{n}", message_id=f"m-{n}", sent_at=sent_at, **changed) for n in part]
        minted |= {n: path_of(result) for n, result in zip(part, await links.mint(*items), strict=True)}
    return minted


async def request(api: Api, method: str, path: str, agent: str, **headers: str) -> int:
    """One request from some address."""
    address = f"203.0.{random.randrange(256)}.7"
    return await status_of(api, method, path, {"user-agent": agent, **headers}, address=address)


async def machines_seen(owner: asyncpg.Connection[Any], wanted: int) -> int:
    """How many requests were known for a machine's, once as many as ``wanted`` are stored or a minute has passed."""
    seen = 0
    for _ in range(600):
        seen = await owner.fetchval("SELECT count(*) FROM rewards.touch WHERE grade = 'X'")
        if seen >= wanted:
            break
        await asyncio.sleep(0.1)
    return seen


async def in_crowds(work: Iterator[Awaitable[int]]) -> set[int]:
    """Do all of it, so many at a time; the statuses that were answered."""

    async def one_after_another() -> set[int]:
        return {await each for each in work}

    return set[int]().union(*await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE))))


@pytest.mark.slow
async def test_machines_open_nine_in_ten_and_only_people_are_paid(
    api: Api, owner: asyncpg.Connection[Any], reader_pool: asyncpg.Pool[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is, nobody is told to come again.
    monkeypatch.setattr(lookup, "TIMEOUT_S", 60.0)
    rules = [{"action": "open", "points": 1}, {"action": "click", "channel": "email", "points": 25}]
    await make_campaign(api.client("admin"), budget=BUDGET, rules=rules)
    links = Links(api)
    everybody = list(range(SENT))
    pictures = await mint(links, everybody, action="open", kind="open", destination=None)
    people = random.Random(1).sample(everybody, CLICKED)
    followed = everybody[::FOLLOWED_ONE_IN]
    clicks = await mint(links, sorted({*people, *followed}))

    async def budget_left() -> int:
        answer = await api.client("admin").get("/v1/campaigns/autumn")
        return answer.raise_for_status().json()["budget"]["left"]

    opened = (
        request(api, "GET", pictures[n], agent)
        for n, agent in zip(everybody[:OPENED_BY_MACHINES], itertools.cycle(MACHINES), strict=False)
    )
    assert await in_crowds(opened) == {200}
    # Gateways follow links as well.
    assert await in_crowds(request(api, "GET", clicks[n], CHROME_ON_WINDOWS) for n in followed) == {200}
    assert await budget_left() == BUDGET
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 0
    assert await machines_seen(owner, OPENED_BY_MACHINES) == OPENED_BY_MACHINES

    # Half of them see the picture first, through Gmail's proxy or by themselves.
    seen = (request(api, "GET", pictures[n], agent) for n, agent in zip(people[::2], itertools.cycle([GMAIL_PROXY, PHONE])))
    assert await in_crowds(seen) == {200}
    assert await budget_left() == BUDGET
    pressed = (request(api, "POST", clicks[n], PHONE, **{"sec-fetch-site": "same-origin"}) for n in people)
    assert await in_crowds(pressed) == {303}

    assert await budget_left() == BUDGET - CLICKED * 25 - CLICKED // 2
    paid = await owner.fetch(
        "SELECT customer, sum(amount)::int AS points FROM ledger.transfer WHERE verb = 2 GROUP BY customer"
    )
    assert (len(paid), {row["points"] for row in paid}) == (CLICKED, {25, 26})
    async with reader_pool.acquire() as connection:
        findings = await audit(connection, api.brand.book)  # pyright: ignore[reportArgumentType]  a pool's connection is one
    assert [finding for finding in findings if finding.violations] == []
