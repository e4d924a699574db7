"""What makes an offer, and what contradicts one that is there: each is refused by name, and nothing of it is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.retention.retention_keeper import ROWS_AT_ONCE
from tests.ingest.conftest import Owner
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.messages.conftest import Json, message, register
from tests.offers.conftest import CLAIMED, RULES, act, offer, short

SOON = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)


async def stored(owner: Owner) -> list[tuple[Any, ...]]:
    rows = await owner.fetch("SELECT offer_group, customer, lapses_at, is_stated FROM rewards.offer ORDER BY offer_no")
    messages = await owner.fetch("SELECT offer_group, message_id, channel FROM rewards.offer_message ORDER BY message_id")
    return [*map(tuple, rows), *map(tuple, messages)]


BAD: list[tuple[Json, int, str]] = [
    ({"campaign": "winter", "offer_group": "o-2"}, 422, "/offer_group"),
    ({"lapses_at": SOON.isoformat()}, 422, "/lapses_at"),
    ({"offer_group": "o-2", "lapses_at": "2020-01-01T00:00:00Z"}, 422, "/lapses_at"),
    ({"offer_group": ""}, 422, "/offer_group"),
    ({"offer_group": "o-1", "lapses_at": (SOON + timedelta(hours=1)).isoformat()}, 409, "lapse at another time"),
    ({"offer_group": "o-1", "campaign": "spring"}, 409, "of another campaign"),
]


@pytest.mark.parametrize("by", ["message", "link"])
@pytest.mark.parametrize(("bad", "status", "said"), BAD)
async def test_what_cannot_be_is_refused_by_name_and_leaves_nothing(
    links: Links, owner: Owner, bad: Json, status: int, said: str, by: str
) -> None:
    await make_campaign(links.api.client("admin"), id="spring", offers=True, rules=RULES)
    await offer(links.api, "m-1", lapses_at=SOON.isoformat())
    before = await stored(owner)
    if by == "message":
        [result] = await register(links.api, message("m-9", **bad))
    else:
        [result] = await links.mint(links.item("C-1", message_id="m-9", **bad))
    assert result["status"] == status
    problem = result["problem"]
    assert (problem["errors"][0]["pointer"] if status == 422 else problem["detail"]).endswith(said) or said in problem["detail"]
    assert await stored(owner) == before
    assert await owner.fetchval("SELECT count(*) FROM rewards.message") == 1
    assert await owner.fetchval("SELECT count(*) FROM rewards.link") == 0


async def test_a_message_makes_one_offer(links: Links) -> None:
    await links.mint(links.item("C-1", message_id="m-1", offer_group="o-1"))
    [again] = await links.mint(links.item("C-1", message_id="m-1", offer_group="o-2", link="other"))
    assert (again["status"], again["problem"]["code"]) == (409, "offer_exists")
    [first, second] = await offer(links.api, "m-2", "m-2", group="o-3")
    assert [first["status"], second["status"]] == [201, 200]


async def test_an_offer_lapses_when_it_was_said_to_or_else_with_the_last_of_its_messages(links: Links, owner: Owner) -> None:
    async def lapses_at() -> datetime:
        return await owner.fetchval("SELECT lapses_at FROM rewards.offer")

    campaign = (await links.api.client("admin").get("/v1/campaigns/autumn")).json()
    await links.mint(links.item("C-1", message_id="m-1", offer_group="o-1", expires_at=SOON.isoformat()))
    assert await lapses_at() == SOON
    later = SOON + timedelta(days=1)
    await links.mint(links.item("C-1", message_id="m-2", offer_group="o-1", expires_at=later.isoformat()))
    assert await lapses_at() == later
    await offer(links.api, "m-3")
    assert await lapses_at() == datetime.fromisoformat(campaign["ends_at"])
    for _ in range(2):
        [said] = await offer(links.api, "m-4", lapses_at=SOON.isoformat())
        assert said["status"] in {200, 201}
        await offer(links.api, "m-5")
        assert await lapses_at() == SOON


async def test_a_link_that_was_minted_before_may_be_given_an_offer(links: Links) -> None:
    [plain] = await links.mint(links.item("C-1", message_id="m-1"))
    [offered] = await links.mint(links.item("C-1", message_id="m-1", offer_group="o-1"))
    assert (offered["status"], offered["link_id"]) == (200, plain["link_id"])
    await offer(links.api, "m-2")
    assert short(await act(links.api, "m-2")) == ("granted", None, 25)
    assert short(await act(links.api, "m-1", channel="email")) == CLAIMED


async def test_that_a_campaign_makes_offers_never_changes(links: Links) -> None:
    admin = links.api.client("admin")
    campaign = (await admin.get("/v1/campaigns/autumn")).json()
    assert campaign["offers"] is True
    terms = {name: campaign[name] for name in ("name", "starts_at", "ends_at")} | {"rules": RULES}
    other = await admin.post("/v1/campaigns", json={"id": "autumn", "budget": 1_000_000, **terms})
    assert (other.status_code, other.json()["code"]) == (409, "campaign_exists")
    version = await admin.post("/v1/campaigns/autumn/versions", json={**terms, "name": "Another"})
    assert version.raise_for_status().json()["offers"] is True
    refused = await admin.post("/v1/campaigns/autumn/versions", json={**terms, "offers": False})
    assert refused.json()["code"] == "unknown_field"
    assert (await admin.get("/v1/campaigns/winter")).json()["offers"] is False


async def test_offers_are_forgotten_once_their_campaign_is_over_for_long(
    links: Links, owner: Owner, worker_pool: asyncpg.Pool[Any]
) -> None:
    for group in ("old", "running", "young", "open"):
        await offer(links.api, f"m-{group}", group=group)
    await owner.execute("UPDATE rewards.offer SET state = 5 WHERE offer_group <> 'open'")
    await owner.execute(
        "UPDATE rewards.offer SET registered_at = registered_at - interval '91 days' WHERE offer_group <> 'young'"
    )
    now = datetime.now(UTC)
    forget = "SELECT rewards.forget_offers_v1($1, $2)"
    assert await worker_pool.fetchval(forget, now, ROWS_AT_ONCE) == 0
    spring = "(SELECT campaign_no FROM rewards.campaign WHERE id = 'winter')"
    await owner.execute(f"UPDATE rewards.offer SET campaign_no = {spring} WHERE offer_group <> 'running'")
    ended = "starts_at = starts_at - interval '200 days', ends_at = ends_at - interval '200 days'"
    await owner.execute(f"UPDATE rewards.campaign_version SET {ended} WHERE campaign_no = {spring}")
    assert await worker_pool.fetchval(forget, now - timedelta(days=92), ROWS_AT_ONCE) == 0
    # Never what is younger than the shortest time, whatever is asked for.
    assert await worker_pool.fetchval(forget, now, ROWS_AT_ONCE) == 1
    assert [row[0] for row in await owner.fetch("SELECT offer_group FROM rewards.offer_message ORDER BY 1")] == [
        "open",
        "running",
        "young",
    ]
