"""Minting: the same link however often it is asked for, and only for what pays, to where the brand allows."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import BASE_URL, Api, make_brand, make_keys
from tests.links.campaigns import make_campaign
from tests.links.conftest import EMAIL, Links


def token_of(result: dict[str, Any]) -> str:
    return result["url"].removeprefix(f"{BASE_URL}/r/").removeprefix(f"{BASE_URL}/o/").removesuffix(".gif")


def claims_of(result: dict[str, Any]) -> dict[str, Any]:
    payload = token_of(result).split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


async def test_a_link_is_minted_once_and_is_the_same_ever_after(links: Links) -> None:
    [first] = await links.mint(links.item())
    assert first["status"] == 201
    assert first["link_id"].startswith("lnk_")
    later = links.item(sent_at="2026-11-20T08:00:00Z", expires_at=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    for item in links.item(), later:
        [again] = await links.mint(item)
        assert again == {**first, "status": 200}


async def test_the_same_link_twice_in_one_batch_is_one_link(links: Links) -> None:
    first, second, other = await links.mint(links.item(), links.item(), links.item(link="footer"))
    assert (first["status"], second["status"], other["status"]) == (201, 200, 201)
    assert first["url"] == second["url"] != other["url"]


async def test_the_token_says_all_it_has_to_and_names_nobody(links: Links) -> None:
    [result] = await links.mint(links.item(sent_at="2026-11-20T08:00:00Z") | {"customer": {"email": EMAIL}})
    claims = claims_of(result)
    assert claims.keys() == {"iss", "aud", "jti", "sub", "m", "c", "a", "d", "iat", "sent_at", "exp"}
    assert claims["iss"] == "lumen"
    assert claims["aud"] == "rewards.test"
    assert claims["sub"].isdigit()
    assert f"lnk_{claims['jti']}" == result["link_id"]
    assert claims["sent_at"] == datetime(2026, 11, 20, 8, tzinfo=UTC).timestamp()
    assert claims["exp"] == datetime.fromisoformat(result["expires_at"]).timestamp()
    said = json.dumps(claims)
    assert EMAIL not in said
    assert "mail.example" not in said
    assert "shop.example" not in said


async def test_a_link_lives_three_days_longer_than_its_campaign(links: Links) -> None:
    [result] = await links.mint(links.item())
    life = datetime.fromisoformat(result["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=32, hours=23) < life <= timedelta(days=33)


async def test_without_a_channel_the_campaigns_only_one_is_meant(links: Links, owner: asyncpg.Connection[Any]) -> None:
    results = await links.mint(links.item(channel=None), links.item(action="reply", channel=None))
    assert [result["status"] for result in results] == [201, 201]
    assert await owner.fetch("SELECT action, channel FROM rewards.link ORDER BY action") == [
        ("click", "email"),
        ("reply", "web"),
    ]


IN_ONE_YEAR = (datetime.now(UTC) + timedelta(days=365)).isoformat()
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"campaign": "spring"}, "unknown_campaign", "/campaign"),
    ({"campaign": ""}, "invalid_field", "/campaign"),
    ({"message_id": "a\u0000b"}, "invalid_field", "/message_id"),
    ({"message_id": "m" * 257}, "invalid_field", "/message_id"),
    ({"action": "open"}, "invalid_field", "/action"),
    ({"action": "Click"}, "invalid_field", "/action"),
    ({"channel": "sms"}, "invalid_field", "/channel"),
    ({"destination": "http://shop.example/"}, "invalid_field", "/destination"),
    ({"destination": "https://evil.example/"}, "invalid_field", "/destination"),
    ({"destination": "https://shop.example@evil.example/"}, "invalid_field", "/destination"),
    ({"destination": None}, "invalid_field", "/destination"),
    ({"kind": "wallet"}, "invalid_field", "/kind"),
    ({"mode": "post"}, "invalid_field", "/mode"),
    ({"destination": 7}, "invalid_field", "/destination"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_field", "/expires_at"),
    ({"expires_at": "2099-01-01T00:00:00Z"}, "invalid_field", "/expires_at"),
    ({"expires_at": "tomorrow"}, "invalid_field", "/expires_at"),
    ({"expires_at": "2026-12-01T00:00:00"}, "invalid_field", "/expires_at"),
    ({"sent_at": 1}, "invalid_field", "/sent_at"),
    ({"points": 1_000}, "unknown_field", "/points"),
    ({"customer": {}}, "invalid_field", "/customer"),
    ({"customer": {"email": "nobody"}}, "invalid_field", "/customer/email"),
    ({"customer": {"name": "Jo"}}, "unknown_field", "/customer/name"),
]


@pytest.mark.parametrize(("changed", "code", "pointer"), REFUSED)
async def test_what_is_wrong_with_an_item_is_that_items(links: Links, changed: dict[str, Any], code: str, pointer: str) -> None:
    before, wrong, after = await links.mint(links.item("C-1"), {**links.item("C-2"), **changed}, links.item("C-3"))
    assert (before["status"], after["status"]) == (201, 201)
    assert (wrong["index"], wrong["status"], wrong["problem"]["code"]) == (1, 422, code)
    assert [error["pointer"] for error in wrong["problem"]["errors"]] == [pointer]
    assert "url" not in wrong


async def test_a_link_that_leads_elsewhere_needs_a_label(links: Links) -> None:
    await links.mint(links.item())
    elsewhere = links.item(destination="https://shop.example/winter")
    refused, labelled = await links.mint(elsewhere, {**elsewhere, "link": "winter"})
    assert refused["problem"]["errors"][0]["pointer"] == "/destination"
    assert labelled["status"] == 201


async def test_a_link_is_of_one_kind_and_mode_for_good(links: Links) -> None:
    results = await links.mint(
        links.item(mode="handoff"),
        links.item(mode="redirect", link="banner"),
        links.item(mode="handoff"),
        links.item(),
    )
    assert [result["status"] for result in results] == [201, 201, 200, 422]
    assert [claims_of(result).get("k") for result in results[:3]] == ["h", "r", "h"]
    assert results[3]["problem"]["errors"][0]["pointer"] == "/mode"


async def test_an_open_leads_nowhere_and_is_no_claim(api: Api) -> None:
    await make_campaign(api.client("admin"), rules=[{"action": "open", "points": 1, "min_evidence": "D"}])
    links = Links(api)
    picture = links.item(action="open", kind="open", destination=None)
    [minted] = await links.mint(picture)
    assert (minted["status"], claims_of(minted)["k"], claims_of(minted)["d"]) == (201, "o", 0)
    assert (await api.client().get(f"/r/{token_of(minted)}")).status_code == 404
    for changed, pointer in (
        ({"action": "click"}, "/action"),
        ({"mode": "handoff"}, "/mode"),
        ({"short": True}, "/short"),
        ({"destination": "https://shop.example/"}, "/destination"),
        ({"kind": "claim", "destination": "https://shop.example/"}, "/kind"),
        ({"kind": "claim"}, "/destination"),
    ):
        [refused] = await links.mint({**picture, **changed})
        assert (refused["status"], refused["problem"]["errors"][0]["pointer"]) == (422, pointer), changed


async def test_a_batch_holds_one_to_ten_thousand_links(links: Links) -> None:
    client = links.api.client("messaging")
    for items in [], [links.item()] * 10_001:
        answer = await client.post("/v1/links", json={"links": items})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
        assert answer.json()["errors"][0]["pointer"] == "/links"
    results = await links.mint(*(links.item(f"C-{number}") for number in range(1_001)), links.item("C-0"))
    assert [result["status"] for result in results] == [201] * 1_001 + [200]
    assert len({result["url"] for result in results}) == 1_001
    assert [result["index"] for result in results] == list(range(1_002))


@pytest.mark.slow
@pytest.mark.one_process("looks whether this process answers others meanwhile")
async def test_ten_thousand_links_are_minted_while_others_are_answered(links: Links) -> None:
    """Prints the rate: `pytest -s -k ten_thousand_links`."""
    items = [links.item(f"C-{number}") for number in range(10_000)]
    waits: list[float] = []

    async def ask() -> None:
        while True:
            began = time.perf_counter()
            assert (await links.api.client(None).get("/health/live")).status_code == 200
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)

    asking = asyncio.create_task(ask())
    began = time.perf_counter()
    results = await links.mint(*items)
    took_s = time.perf_counter() - began
    asking.cancel()
    assert {result["status"] for result in results} == {201}
    print(f"{len(items) / took_s:,.0f} links/s; others waited {max(waits) * 1000:.0f} ms at most")  # noqa: T201 - it is measured
    # Of a call of seconds, nobody else may wait for a noticeable part.
    assert len(waits) > 20
    assert sorted(waits)[len(waits) // 2] < 0.1


async def test_many_minting_the_same_links_at_once_get_the_same(links: Links) -> None:
    items = [links.item(f"C-{number}") for number in range(50)]
    batches = await asyncio.gather(*(links.mint(*(items if turn % 2 else reversed(items))) for turn in range(8)))
    urls = [{result["url"] for result in batch} for batch in batches]
    assert all(each == urls[0] for each in urls)
    assert len(urls[0]) == 50
    assert sum(result["status"] == 201 for batch in batches for result in batch) == 50


async def test_only_who_may_mint_mints(links: Links) -> None:
    for client, status in ((links.api.client(None), 401), (links.api.client("storefront"), 403)):
        assert (await client.post("/v1/links", json={"links": [links.item()]})).status_code == status


async def test_another_brands_campaign_is_unknown(links: Links, api: Api, owner: asyncpg.Connection[Any]) -> None:
    other = await make_keys(owner, await make_brand(owner, "other"))
    answer = await api.client(key=other["messaging"]).post("/v1/links", json={"links": [links.item()]})
    assert answer.json()["results"][0]["problem"]["code"] == "unknown_campaign"


async def test_the_published_keys_are_public(api: Api) -> None:
    answer = await api.client(None).get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert [key["kid"] for key in answer.json()["keys"]] == ["test-1"]
