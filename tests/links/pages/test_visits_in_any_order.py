"""A link is looked at, claimed and reported by others, in every order: paid once, and it proves a person."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import asyncpg
import pytest

from ledger import audit
from tests.api_fixtures import Api
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline

CLICK = {"action": "click", "channel": "email", "points": 25, "min_evidence": "B"}
OPEN = {"action": "open", "points": 1}


async def report(api: Api, customer: str, action: str, evidence: str) -> None:
    item = {
        "campaign": "autumn",
        "message_id": "newsletter-0412",
        "customer": {"id": customer},
        "action": action,
        "channel": "email",
        "evidence": evidence,
    }
    assert (await api.client("messaging").post("/v1/grants", json=item)).is_success


async def take(links: Links, path: str, customer: str, step: str) -> None:
    match step:
        case "look":
            assert (await links.api.client(None).get(path)).status_code == 200
        case "claim":
            assert (await claim(links, path)).status_code == 200
        case _:
            action, evidence = step.split()
            await report(links.api, customer, action, evidence)


STORIES: list[tuple[str, tuple[str, ...], list[dict[str, Any]], int]] = [
    ("one click", ("look", "click C", "click D", "claim"), [CLICK], 25),
    ("an open", ("look", "open D", "click X", "claim"), [CLICK, OPEN], 26),
    ("an open and a link of its own", ("look", "open D", "claim", "click B"), [CLICK | {"once_per": "link"}, OPEN], 51),
]


@pytest.mark.parametrize(("steps", "rules", "earned"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
async def test_all_24_orders_end_alike(
    api: Api, reader_pool: asyncpg.Pool[Any], steps: tuple[str, ...], rules: list[dict[str, Any]], earned: int
) -> None:
    await make_campaign(api.client("admin"), rules=rules)
    links = Links(api)
    orders = list(permutations(steps))
    people = [f"C-{n}" for n in range(len(orders))]
    for customer, order in zip(people, orders, strict=True):
        # Where clicks count per link, the report without a label is of another one.
        path = await links.path(customer, link="hero")
        for step in order:
            await take(links, path, customer, step)
    assert [await links.balance(customer) for customer in people] == [earned] * 24
    async with reader_pool.acquire() as connection:
        findings = await audit(connection, api.brand.book)  # pyright: ignore[reportArgumentType]  a pool's connection is one
    assert [finding for finding in findings if finding.violations] == []


async def test_points_that_are_held_back_are_announced(api: Api) -> None:
    await make_campaign(api.client("admin"), rules=[CLICK | {"hold_back_days": 3}])
    links = Links(api)
    path = await links.path()
    assert headline(await claim(links, path)) == "25 Lumens on their way"
    page = await api.client(None).get(path)
    assert headline(page) == "25 Lumens on their way"
    assert "<button" not in page.text
    assert await links.balance() == 0
    (grant,) = (await api.client("messaging").get("/v1/grants")).json()["items"]
    await api.client("approver").post(f"/v1/grants/{grant['grant_id']}/mature")
    assert headline(await claim(links, path)) == "You already have these"
    assert await links.balance() == 25
