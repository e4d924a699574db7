"""Revocations by key, message and campaign reach every kind of link; and a page's link does no more than its maker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from service.auth.actions import create_key
from service.links.last_known_refresher import _Newest, _refresh  # pyright: ignore[reportPrivateUsage]
from service.tokens.customer import CustomerTokenKind
from tests.api_fixtures import BASE_URL, Api
from tests.links.conftest import Links
from tests.links.customer_pages import own_page
from tests.links.pages.test_live_images import is_neutral
from tests.links.pages.test_visits import claim, headline
from tests.links.test_offline_links import Signer
from tests.links.wire import Wire

Owner: TypeAlias = "asyncpg.Connection[Any]"

JSON = {"Accept": "application/json"}
WITHDRAWN = "This link was withdrawn"
MESSAGE = "newsletter-0412"


async def page(api: Api, kind: str, key: str, **changed: Any) -> str:
    """The path of a page, by a link that a key made."""
    item = {"customer": {"id": "C-1001"}, "kind": kind, "message_id": MESSAGE, **changed}
    answer = await api.client(key=key).post("/v1/page-links", json={"pages": [item]})
    (result,) = answer.json()["results"]
    assert result["status"] == 201, result
    return result["url"].removeprefix(BASE_URL)


@pytest.fixture
async def minter(api: Api, owner: Owner) -> tuple[str, str]:
    """A key that may make all kinds of links, and its id."""
    scopes = ["links:write", "keys:write", "customers:read", "customers:write", "grants:write"]
    key, record = await create_key(owner, "lumen", "maker", scopes, "A")
    return key, f"key_{record.api_key_id}"


@pytest.mark.parametrize("by", ["key", "message_id", "campaign"])
async def test_every_kind_is_taken_back(links: Links, minter: tuple[str, str], by: str) -> None:
    api, (key, made_by) = links.api, minter
    nobody, maker = api.client(None), api.client(key=key)

    async def mint(**changed: Any) -> dict[str, Any]:
        answer = await maker.post("/v1/links", json={"links": [links.item(**changed)]})
        return answer.json()["results"][0]

    link, opened = await mint(short=True), await mint(link="second")
    handoff = (await mint(mode="handoff", customer="C-2"))["url"]
    arrived = await nobody.get(handoff, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
    (handed_over,) = parse_qs(urlsplit(arrived.headers["location"]).query)["rewards_claim"]
    receipt = (await nobody.post(opened["url"], headers={"Sec-Fetch-Site": "same-origin"})).headers["location"]
    assert "Your balance" in (await nobody.get(receipt)).text
    batch = {"id": "packs", "campaign": "autumn", "action": "click", "channel": "email", "codes": 1}
    (await maker.post("/v1/code-batches", json=batch)).raise_for_status()
    code = (await maker.get("/v1/code-batches/packs/codes")).text.splitlines()[1].split(",")[1]
    pages = {kind: await page(api, kind, key) for kind in ("wallet", "preferences", "live")}
    assert not is_neutral(await nobody.get(pages["live"]))

    named = {"key": made_by, "message_id": MESSAGE, "campaign": "autumn"}[by]
    revoked = (await api.client("messaging").post("/v1/link-revocations", json={by: named})).json()
    if by == "message_id":
        (await api.client("messaging").post("/v1/link-revocations", json={by: "code:packs:1"})).raise_for_status()

    for address in (link["url"], link["short_url"], opened["url"], handoff, receipt, f"/{code}"):
        assert headline(await nobody.get(address)) == WITHDRAWN, address
    refused = await maker.post("/v1/claims", json={"claim": handed_over})
    assert (refused.status_code, refused.json().get("code")) == (410, "link_revoked"), refused.text
    taken = await maker.post("/v1/code-claims", json={"code": code, "customer": {"id": "C-1001"}})
    assert (taken.status_code, taken.json()["code"]) == (410, "link_revoked")
    # A page of a customer's own belongs to no campaign.
    if by != "campaign":
        for kind in ("wallet", "preferences"):
            assert headline(await nobody.get(pages[kind])) == WITHDRAWN, kind
            assert (await nobody.get(pages[kind], headers=JSON)).json()["code"] == "link_revoked"
        assert (await nobody.put(pages["preferences"], json={"rewards": False}, headers=JSON)).status_code == 410
        assert is_neutral(await nobody.get(pages["live"]))
    assert await links.balance() == 25

    (await api.client("admin").delete(f"/v1/link-revocations/{revoked['id']}")).raise_for_status()
    assert (await nobody.get(pages["wallet"])).status_code == 200
    assert "Your balance" in (await nobody.get(receipt)).text


async def test_a_preferences_link_outlives_its_revoked_key_no_more(links: Links, minter: tuple[str, str]) -> None:
    key, made_by = minter
    preferences = await page(links.api, "preferences", key, expires_in_s=90 * 86_400)
    assert (await links.api.client(None).get(preferences)).status_code == 200
    (await links.api.client("admin").delete(f"/v1/keys/{made_by}")).raise_for_status()
    assert (await links.api.client(None).get(preferences)).status_code == 410


SCOPES: list[tuple[list[str], set[str]]] = [
    (["links:write"], set()),
    (["links:write", "customers:write"], set()),
    (["links:write", "customers:read"], {"wallet", "live"}),
    (["links:write", "customers:read", "customers:write"], {"wallet", "live", "preferences"}),
]


@pytest.mark.parametrize(("scopes", "made"), SCOPES)
async def test_a_link_does_no_more_than_the_key_that_makes_it(
    links: Links, owner: Owner, scopes: list[str], made: set[str]
) -> None:
    await links.path()
    key, _ = await create_key(owner, "lumen", "maker", scopes)
    kinds = ("wallet", "preferences", "live")
    items = [{"customer": {"id": "C-1001"}, "kind": kind, "message_id": MESSAGE} for kind in kinds]
    results = (await links.api.client(key=key).post("/v1/page-links", json={"pages": items})).json()["results"]
    assert {kind for kind, result in zip(kinds, results, strict=True) if result["status"] == 201} == made
    assert {result["problem"]["code"] for result in results if result["status"] != 201} <= {"missing_scope"}
    if "wallet" in made:
        # The way from the wallet to preferences is there for those keys alone that could have made it.
        shown = (await links.api.client(None).get(results[0]["url"])).text
        assert ("/preferences/" in shown) == ("preferences" in made)


async def test_the_history_says_by_whose_link_a_customer_said_so(links: Links, minter: tuple[str, str]) -> None:
    key, made_by = minter
    nobody = links.api.client(None)
    preferences = await page(links.api, "preferences", key)
    body = {"channels": [{"channel": "sms", "status": "refused"}]}
    (await nobody.put(preferences, json=body, headers=JSON)).raise_for_status()
    wallet = (await nobody.get(await page(links.api, "wallet", key))).text
    further = wallet.partition(f"{BASE_URL}/preferences/")[2].partition('"')[0]
    (await nobody.put(f"/preferences/{further}", json={"rewards": False}, headers=JSON)).raise_for_status()
    # Of before keys were named, nothing is known.
    body = {"channels": [{"channel": "email", "status": "granted"}]}
    (await nobody.put(own_page(links.api, CustomerTokenKind.PREFERENCES), json=body, headers=JSON)).raise_for_status()
    said = {"status": "granted", "source": "form"}
    (await links.api.client("messaging").put("/v1/customers/C-1001/consents/push", json=said)).raise_for_status()
    history = (await links.api.client("storefront").get("/v1/customers/C-1001/consents")).json()["history"]
    assert {each["channel"]: (each["recorded_by"], each["link_made_by"]) for each in history} == {
        "sms": ("customer", made_by),
        "rewards": ("customer", made_by),
        "email": ("customer", None),
        "push": ("key_2", None),
    }


async def test_a_page_is_open_no_longer_than_the_key_that_made_its_link(links: Links, owner: Owner) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    scopes = ["links:write", "customers:read", "customers:write"]
    key, _ = await create_key(owner, "lumen", "short", scopes, expires_at=until)
    items = [{"customer": {"id": "C-1001"}, "kind": kind} for kind in ("wallet", "preferences")]
    results = (await links.api.client(key=key).post("/v1/page-links", json={"pages": items})).json()["results"]
    short, capped = (datetime.fromisoformat(result["expires_at"]) for result in results)
    assert short < capped
    assert until - timedelta(seconds=2) <= capped <= until


@pytest.mark.parametrize("by", ["link", "message_id", "campaign"])
async def test_what_was_revoked_is_known_while_the_database_is_away(wired: tuple[Links, Wire], by: str) -> None:
    links, wire = wired
    [minted] = await links.mint(links.item())
    signer = await Signer(links).register()
    named = {"link": minted["link_id"], "message_id": MESSAGE, "campaign": "autumn"}[by]
    (await links.api.client("messaging").post("/v1/link-revocations", json={by: named})).raise_for_status()
    services = links.api.services
    await _refresh(services.last_known, links.api.services.engine, _Newest())
    wire.cut()
    paths = [minted["url"]] if by == "link" else [minted["url"], signer.path()]
    for path in paths:
        shown = await links.api.client(None).get(path)
        assert (shown.status_code, headline(shown)) == (410, WITHDRAWN)
        assert headline(await claim(links, path)) == WITHDRAWN
    wire.mend()
