"""Which grant was spent: over HTTP, by the agent, and built again by an operator."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from service.cli.main import rewards
from service.finance.layers import layer_tracker
from service.http.identifiers import redemption_id
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.finance.conftest import CAMPAIGN, Till, make_campaign


@pytest.fixture
async def shop(api: Api, owner: asyncpg.Connection[Any]) -> Till:
    """Posts to the book of the API's brand."""
    till = Till(api.services.ledger, api.brand.book, await make_campaign(owner, api.brand))
    await till.fund(1_000)
    return till


async def get(api: Api, key: str, path: str, **query: Any) -> Any:
    answer = await api.client(key).get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_redemption_leads_to_its_grants_and_each_of_them_back(api: Api, shop: Till) -> None:
    for points in (30, 50):
        await shop.grant(1, points)
    number = await shop.authorize(1, 40)
    await shop.capture(number, 35)
    await shop.refund(number, 10)
    redemption = redemption_id(shop.book.book_id, number)

    sources = await get(api, "storefront", f"/v1/redemptions/{redemption}/sources")
    first, second = sources["items"]
    assert sources["as_of_seq"] == (await shop.ledger.head(shop.book)).seq
    assert sources["next"] is None
    counts = ("points", "held", "captured", "released", "refunded")
    assert [tuple(each[count] for count in counts) for each in (first, second)] == [(30, 0, 30, 0, 5), (10, 0, 5, 5, 5)]
    told = (first["type"], first["campaign"], first["channel"], first["action"], first["expires_on"], first["class"])
    assert told == ("grant", CAMPAIGN, "email", "click", None, "engagement")
    assert first["granted_at"] <= second["granted_at"]

    uses = await get(api, "approver", f"/v1/grants/{second['grant_id']}/uses")
    assert (uses["points"], uses["left"], uses["as_of_seq"], uses["next"]) == (50, 50, sources["as_of_seq"], None)
    (use,) = uses["items"]
    assert (use["type"], use["redemption_id"], use["seq"]) == ("redemption", redemption, number)
    assert tuple(use[count] for count in counts) == (10, 0, 5, 5, 5)


async def test_both_come_in_pages(api: Api, shop: Till) -> None:
    for _ in range(5):
        await shop.grant(1, 10)
    redemption = redemption_id(shop.book.book_id, await shop.authorize(1, 45))
    whole = await get(api, "storefront", f"/v1/redemptions/{redemption}/sources")
    assert await in_pages(api, "storefront", f"/v1/redemptions/{redemption}/sources") == whole["items"]
    for _ in range(3):
        await shop.authorize(1, 1)
    uses = f"/v1/grants/{whole['items'][-1]['grant_id']}/uses"
    found = await in_pages(api, "approver", uses)
    assert [use["points"] for use in found] == [5, 1, 1, 1]


async def in_pages(api: Api, key: str, path: str) -> list[Any]:
    """All items, two at a time."""
    items: list[Any] = []
    after: str | None = "0"
    while after is not None:
        page = await get(api, key, path, after=after, limit=2)
        items, after = [*items, *page["items"]], page["next"]
    return items


async def test_a_grant_that_paid_nothing_has_no_uses(api: Api, shop: Till) -> None:
    await shop.grant(1, 5_000)
    (refused,) = (await get(api, "approver", "/v1/grants"))["items"]
    assert refused["outcome"] == "refused"
    uses = await get(api, "approver", f"/v1/grants/{refused['grant_id']}/uses")
    assert (uses["points"], uses["left"], uses["items"]) == (0, 0, [])


@pytest.mark.parametrize(
    ("key", "path", "status"),
    [
        ("storefront", "/v1/redemptions/red_00000001000000000000ffff/sources", 404),
        ("storefront", "/v1/redemptions/nonsense/sources", 404),
        ("approver", f"/v1/grants/grt_00000001{'0' * 32}/uses", 404),
        ("approver", "/v1/grants/nonsense/uses", 404),
        ("messaging", "/v1/redemptions/red_00000001000000000000ffff/sources", 403),
        ("storefront", f"/v1/grants/grt_00000001{'0' * 32}/uses", 403),
        ("approver", f"/v1/grants/grt_00000001{'0' * 32}/uses?cut=1", 422),
    ],
)
async def test_what_there_is_not_or_may_not_be_seen_is_refused(api: Api, key: str, path: str, status: int) -> None:
    assert (await api.client(key).get(path)).status_code == status


READER = "SELECT book_id, seq FROM ledger.layer_reader ORDER BY book_id"
KEPT = "SELECT seq, layer, amount FROM ledger.transfer_layer ORDER BY seq, layer"


@pytest.mark.usefixtures("busy_till")
async def test_the_agent_reads_every_book_to_its_end_and_an_operator_has_it_done_again(
    till: Till, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], engine: Any, database: Database
) -> None:
    assert await layer_tracker.run_once(worker_pool, engine) == 0
    head = await till.ledger.head(till.book)
    assert [tuple(row) for row in await owner.fetch(READER)] == [(till.book.book_id, head.seq)]
    kept = await owner.fetch(KEPT)
    assert kept
    await owner.execute("UPDATE ledger.transfer_layer SET amount = amount + 1")
    runner = CliRunner(env={"REWARDS_DATABASE_URL": database.application_url})
    done = await asyncio.to_thread(runner.invoke, rewards, ["layers", "rebuild", "acme"])
    assert done.exit_code == 0, done.output
    assert await owner.fetch(KEPT) == kept
    unknown = await asyncio.to_thread(runner.invoke, rewards, ["layers", "rebuild", "nobody"])
    assert "nobody" in str(unknown.exception)
