"""Following a link names no field and no consent receipt: none can be made for what customers tell; old ones earn nothing."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import BASE_URL, Api
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim
from tests.links.test_offline_links import Signer, shown, signer

__all__ = ["signer"]

TELLS = "data.profile_field"


@pytest.fixture(autouse=True)
async def pays_for_data(links: Links) -> None:
    """The campaign of the links pays for what customers tell, too."""
    terms = {
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "name": "Autumn",
        "rules": [
            {"action": "click", "channel": "email", "points": 25},
            {"action": TELLS, "points": 20},
            {"action": "data.preferences", "points": 40},
        ],
    }
    (await links.api.client("admin").post("/v1/campaigns/autumn/versions", json=terms)).raise_for_status()


@pytest.mark.parametrize("action", [TELLS, "data.preferences"])
@pytest.mark.parametrize("form", [{}, {"short": True}, {"mode": "handoff"}, {"mode": "redirect"}])
async def test_no_link_is_minted_for_it(links: Links, action: str, form: dict[str, Any]) -> None:
    ours, theirs = await links.mint(links.item(action=action, **form), links.item(**form))
    assert (ours["status"], theirs["status"]) == (422, 201)
    (error,) = ours["problem"]["errors"]
    assert (error["code"], error["pointer"]) == ("invalid_field", "/action")
    assert "consent receipt" in error["detail"]


@pytest.mark.parametrize("changed", [{}, {"pays": "each"}, {"pays": "each", "rotates_every_s": 60}])
async def test_no_code_is_made_for_it(links: Links, changed: dict[str, Any]) -> None:
    batch = {"id": "packs-1", "campaign": "autumn", "action": TELLS, "channel": "email", "codes": 1, **changed}
    answer = await links.api.client("messaging").post("/v1/code-batches", json=batch)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/action")


async def test_a_link_that_a_brand_signs_for_it_is_none(links: Links, signer: Signer) -> None:
    assert (await shown(links, signer.path()))[0] == 200
    assert (await shown(links, signer.path(a=TELLS)))[0] == 404
    assert await links.balance() == 0


async def test_one_that_was_made_before_earns_nothing(links: Links, owner: asyncpg.Connection[Any]) -> None:
    [minted] = await links.mint(links.item(short=True))
    await owner.execute("UPDATE rewards.link SET action = $1", TELLS)
    path = minted["short_url"].removeprefix(BASE_URL)
    assert await shown(links, path) == (200, "Nothing to earn just now")
    await claim(links, path)
    assert await links.balance() == 0


async def test_nor_does_a_code(links: Links, owner: asyncpg.Connection[Any]) -> None:
    api: Api = links.api
    batch = {"id": "packs-1", "campaign": "autumn", "action": "click", "channel": "email", "codes": 1}
    (await api.client("messaging").post("/v1/code-batches", json=batch)).raise_for_status()
    file = await api.client("messaging").get("/v1/code-batches/packs-1/codes")
    (code,) = [line.split(",")[1] for line in file.text.splitlines()[1:-1]]
    await owner.execute("UPDATE rewards.code_batch SET action = $1", TELLS)
    answer = await api.client("messaging").post("/v1/code-claims", json={"code": code, "customer": {"id": "C-1001"}})
    assert (answer.json()["outcome"], answer.json()["reason"]) == ("ignored", "no_rule")
