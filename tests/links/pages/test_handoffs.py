"""A handoff link leads to the shop at once; the shop says that a person arrived, and she is paid once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from ledger import Grade
from service.brands.destinations import CLAIM_PARAMETER
from service.evidence.bot_detection import Verdict, Why
from service.link_pages import handoffs
from service.tokens.sealing import seal
from tests.api_fixtures import Api, make_brand, make_keys
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.fetchers import APPLE, CHROME_ON_WINDOWS, PHONE

SHOP = "https://shop.example"


@pytest.fixture(autouse=True)
def known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is fetched in most of these tests, so nobody needs to wait until that is known."""
    monkeypatch.setattr(handoffs, "SIBLINGS_KNOWN_AFTER_S", 0.0)


async def visit(links: Links, agent: str = PHONE, *, method: str = "GET", **changed: Any) -> httpx.Response:
    path = await links.path(**{"mode": "handoff", **changed})
    return await links.api.client(None).request(method, path, headers={"User-Agent": agent})


def claim_in(answer: httpx.Response) -> str:
    assert answer.status_code == 303
    (claim,) = parse_qs(urlsplit(answer.headers["location"]).query)[CLAIM_PARAMETER]
    return claim


async def confirm(api: Api, claim: str, key: str | None = "messaging", **changed: Any) -> httpx.Response:
    return await api.client(key).post("/v1/claims", json={"claim": claim, **changed})


async def script(api: Api, claim: str, origin: str | None = SHOP) -> httpx.Response:
    """As a page's script sends it."""
    headers = {"Content-Type": "text/plain;charset=UTF-8", **({"Origin": origin} if origin else {})}
    return await api.client(None).post("/v1/claims", content=f'{{"claim": "{claim}"}}', headers=headers)


async def test_following_the_link_earns_nothing_until_the_shops_server_confirms(links: Links) -> None:
    answer = await visit(links)
    assert answer.headers["location"].startswith("https://shop.example/autumn?rewards_claim=")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert await links.balance() == 0
    confirmed = await confirm(links.api, claim_in(answer))
    assert (confirmed.status_code, confirmed.json()["outcome"], confirmed.json()["points"]) == (201, "granted", 25)
    (grant,) = (await links.api.client("messaging").get("/v1/grants")).json()["items"]
    assert grant["evidence"] == "A"
    assert await links.balance() == 25


async def test_a_script_on_a_page_of_the_shop_confirms_too_and_is_told_nothing_of_her(links: Links) -> None:
    answer = await script(links.api, claim_in(await visit(links)))
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.json() == {"outcome": "granted", "reason": None, "points": 25}
    (grant,) = (await links.api.client("messaging").get("/v1/grants")).json()["items"]
    assert grant["evidence"] == "B"


async def test_a_claim_pays_once_whoever_confirms_it_and_however_often(links: Links) -> None:
    claims = [claim_in(await visit(links)) for _ in range(3)]
    assert len(set(claims)) == 3
    answers = await asyncio.gather(
        *(each for claim in claims for each in (confirm(links.api, claim), script(links.api, claim), confirm(links.api, claim)))
    )
    assert {answer.json()["outcome"] for answer in answers} == {"granted"}
    assert await links.balance() == 25


async def test_a_destination_keeps_its_own_query_and_fragment(links: Links) -> None:
    answer = await visit(links, destination="https://shop.example/autumn?utm=a&b=%20#top")
    there = urlsplit(answer.headers["location"])
    assert there.query.startswith("utm=a&b=%20&rewards_claim=")
    assert there.fragment == "top"


@pytest.mark.parametrize(("agent", "method"), [(APPLE, "GET"), ("", "GET"), ("WhatsApp/2.24.10.80 A", "GET"), (PHONE, "HEAD")])
async def test_a_machine_arrives_without_a_claim(links: Links, agent: str, method: str) -> None:
    answer = await visit(links, agent, method=method)
    assert (answer.status_code, answer.headers["location"]) == (303, "https://shop.example/autumn")


ORIGINS = [
    ("https://shop.example", True),
    ("http://127.0.0.1:8123", True),
    ("http://shop.example", False),
    ("https://shop.example.evil.example", False),
    ("https://evil.example", False),
    ("https://shop.example:8443", False),
    ("https://user@shop.example", False),
    ("null", False),
]


@pytest.mark.parametrize(("origin", "is_taken"), ORIGINS)
async def test_only_pages_on_the_brands_own_hosts_may_confirm_without_a_key(links: Links, origin: str, is_taken: bool) -> None:
    answer = await script(links.api, claim_in(await visit(links)), origin)
    assert ("access-control-allow-origin" in answer.headers) is is_taken
    assert answer.status_code == (200 if is_taken else 403)
    assert await links.balance() == (25 if is_taken else 0)
    if not is_taken:
        assert answer.json()["code"] == "origin_not_allowed"


async def test_nobody_confirms_without_a_key_and_without_a_page(links: Links) -> None:
    answer = await script(links.api, claim_in(await visit(links)), None)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    refused = await confirm(links.api, claim_in(await visit(links)), "storefront")
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert await links.balance() == 0


async def test_a_claim_cannot_be_made_up_and_is_no_other_brands(links: Links, owner: asyncpg.Connection[Any]) -> None:
    claim = claim_in(await visit(links))
    others = await make_keys(owner, await make_brand(owner, "other"))
    for text in ("AAAA", claim[:-2], claim[:-1] + ("A" if claim[-1] != "A" else "Q"), seal(_claim(links), [bytes(32)])):
        assert (await confirm(links.api, text)).json()["code"] == "not_found"
        assert (await script(links.api, text, SHOP)).json()["code"] == "not_found"
    answer = await links.api.client(key=others["messaging"]).post("/v1/claims", json={"claim": claim})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await links.balance() == 0


def _claim(links: Links, link_id: bytes = bytes(20), *, minutes_ago: int = 0) -> handoffs.Claim:
    visited_at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return handoffs.Claim(links.api.brand.code, link_id, int(visited_at.timestamp() * 1000), b"")


async def test_a_claim_is_good_for_half_an_hour(links: Links, owner: asyncpg.Connection[Any]) -> None:
    await visit(links)
    link_id: bytes = await owner.fetchval("SELECT link_id FROM rewards.link")
    keys = links.api.services.token_keys.handoffs
    for minutes, outcome in ((31, "claim_expired"), (29, "granted")):
        claim = seal(_claim(links, link_id, minutes_ago=minutes), keys)
        answer = (await confirm(links.api, claim)).json()
        assert answer.get("code", answer.get("outcome")) == outcome


async def test_a_claim_of_a_link_that_was_revoked_is_refused(links: Links, owner: asyncpg.Connection[Any]) -> None:
    claim = claim_in(await visit(links))
    await owner.execute("UPDATE rewards.link SET revoked_at = now()")
    for answer in (await confirm(links.api, claim), await script(links.api, claim)):
        assert (answer.status_code, answer.json()["code"]) == (410, "link_revoked")


async def test_whoever_confirms_can_say_less_than_it_may_and_never_more(links: Links) -> None:
    claim = claim_in(await visit(links))
    machine = await confirm(links.api, claim, evidence="X")
    assert (machine.status_code, machine.json()["reason"]) == (200, "machine")
    await confirm(links.api, claim, evidence="C")
    (grant,) = (await links.api.client("messaging").get("/v1/grants")).json()["items"]
    assert grant["evidence"] == "C"


# ---- Scanners that look like people, and run scripts


async def follow_all(links: Links, count: int = 3) -> list[str]:
    """The claims of a browser that follows every link of a message at once."""
    return [claim_in(await visit(links, CHROME_ON_WINDOWS, link=f"link {n}")) for n in range(count)]


async def _stored(owner: asyncpg.Connection[Any], count: int) -> None:
    for _ in range(200):
        if await owner.fetchval("SELECT count(*) FROM rewards.touch") >= count:
            return
        await asyncio.sleep(0.01)


async def test_the_script_of_a_scanner_that_followed_every_link_is_not_believed(
    links: Links, owner: asyncpg.Connection[Any]
) -> None:
    claims = await follow_all(links)
    await _stored(owner, 3)
    for claim in claims:
        assert (await script(links.api, claim)).json() == {"outcome": "ignored", "reason": "machine", "points": 0}
    assert await links.balance() == 0
    # The shop's server knows that she signed in, whatever else was fetched.
    assert (await confirm(links.api, claims[0])).json()["outcome"] == "granted"


async def test_a_script_is_not_believed_before_it_is_known_what_else_was_fetched(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoffs, "SIBLINGS_KNOWN_AFTER_S", 60.0)
    claim = claim_in(await visit(links))
    answer = await script(links.api, claim)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (425, "claim_too_early", "3")
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert (await confirm(links.api, claim)).json()["outcome"] == "granted"


async def test_visits_and_confirmations_are_touches(links: Links, owner: asyncpg.Connection[Any]) -> None:
    await confirm(links.api, claim_in(await visit(links)))
    await visit(links, APPLE)
    await _stored(owner, 3)
    touched = await owner.fetch("SELECT way, grade, why, points FROM rewards.touch ORDER BY way, grade")
    assert [tuple(row) for row in touched] == [
        ("confirm", "A", "confirmed_by_shop", 25),
        ("handoff", "D", "sent_just_now", 25),
        ("handoff", "X", "mail_prefetch", 25),
    ]


# ---- Pictures


async def picture(api: Api, url: str, agent: str, method: str = "GET") -> httpx.Response:
    return await api.client(None).request(method, urlsplit(url).path, headers={"User-Agent": agent})


async def test_a_picture_is_an_open_that_waits_for_her_and_never_pays_a_machine(api: Api) -> None:
    rules = [{"action": "open", "points": 5}, {"action": "click", "channel": "email", "points": 25}]
    await make_campaign(api.client("admin"), rules=rules)
    links = Links(api)
    open_link = links.item(action="open", channel="email", kind="open", destination=None)
    [minted] = await links.mint(open_link)
    assert minted["status"] == 201, minted
    for agent in (APPLE, "", "WhatsApp/2.24.10.80 A"):
        answer = await picture(api, minted["url"], agent)
        assert (answer.status_code, answer.headers["content-type"], answer.content[:3]) == (200, "image/gif", b"GIF")
    assert (await api.client("messaging").get("/v1/grants")).json()["items"] == []
    await picture(api, minted["url"], PHONE)
    (waiting,) = (await api.client("messaging").get("/v1/grants")).json()["items"]
    assert (waiting["outcome"], waiting["evidence"], waiting["points"]) == ("waiting", "D", 0)
    await api.client(None).post(await links.path())
    assert await links.balance() == 30


@pytest.mark.parametrize("path", ["/o/hello.gif", "/o/.gif", "/o/AAAABBBBCCCCDDDD.gif"])
async def test_a_picture_is_always_a_picture(api: Api, path: str) -> None:
    answer = await api.client(None).get(path)
    assert (answer.status_code, answer.content[:3]) == (200, b"GIF")
    assert "no-store" in answer.headers["cache-control"]


async def test_a_claims_token_is_no_picture_and_a_pictures_no_claim(api: Api) -> None:
    rules = [{"action": "open", "points": 5, "min_evidence": "D"}, {"action": "click", "channel": "email", "points": 25}]
    await make_campaign(api.client("admin"), rules=rules)
    links = Links(api)
    path = await links.path()
    await picture(links.api, f"/o/{path.removeprefix('/r/')}.gif", PHONE)
    [minted] = await links.mint(links.item(action="open", channel="email", kind="open", destination=None))
    url: str = minted["url"]
    token = urlsplit(url).path.removeprefix("/o/").removesuffix(".gif")
    assert (await links.api.client(None).post(f"/r/{token}")).status_code == 404
    assert (await links.api.client("messaging").get("/v1/grants")).json()["items"] == []


SPELLINGS = [
    "rewards_claim=x",
    "rewards_claim",
    "a=1&rewards_claim=",
    "rewards%5Fclaim=x",
    "a=1&%72ewards_claim=y#top",
    # A script reads other names here, and some server the one that is meant.
    "Rewards_Claim=x",
    "REWARDS%5FCLAIM=x",
    "a=1;rewards_claim=x",
    "a=1&amp;rewards_claim=x",
    "rewards.claim=x",
    "rewards+claim=x",
    "rewards_claim[]=x",
    "rewards_claim%5B0%5D=x",
    "%20rewards_claim=x",
    "rewards_claim%00=x",
]


@pytest.mark.parametrize("query", SPELLINGS)
@pytest.mark.parametrize("mode", ["page", "handoff", "redirect"])
async def test_a_destination_that_brings_the_parameter_along_is_refused(links: Links, query: str, mode: str) -> None:
    [result] = await links.mint(links.item(mode=mode, destination=f"https://shop.example/autumn?{query}"))
    assert (result["status"], result["problem"]["errors"][0]["pointer"]) == (422, "/destination")
    [result] = await links.mint(links.item(mode=mode, destination="https://shop.example/autumn?my_rewards_claim=x"))
    assert result["status"] == 201


def test_a_destination_of_before_loses_the_parameter_it_brought_along() -> None:
    verdict = Verdict(Grade.C, Why.NOTHING_AGAINST_IT)
    for brought in ("rewards_claim=old", "rewards%5fclaim=old"):
        url = handoffs.hand_over(
            "lumen", bytes(20), f"https://shop.example/?a=1&{brought}&b=%20", verdict, (bytes(32),), datetime.now(UTC)
        )
        query = parse_qs(urlsplit(url).query)
        assert (query["a"], query["b"], len(query[CLAIM_PARAMETER])) == (["1"], [" "], 1)
        assert query[CLAIM_PARAMETER] != ["old"]
