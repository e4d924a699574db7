"""Visits: looking earns nothing, claiming earns once, and the customer always gets where she was going."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import msgspec

from service.link_pages import visits
from service.link_pages.lookup import Visitor
from service.tokens import link as link_tokens
from tests.api_fixtures import Api, make_brand
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.wire import Wire

if TYPE_CHECKING:
    pass

READERS: list[tuple[str, dict[str, str]]] = [
    ("GET", {}),
    ("HEAD", {}),
    ("OPTIONS", {}),
    ("GET", {"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36"}),
    ("GET", {"User-Agent": "facebookexternalhit/1.1"}),
    ("GET", {"Sec-Purpose": "prefetch;prerender"}),
    ("POST", {"Sec-Purpose": "prefetch"}),
    ("POST", {"Purpose": "prefetch"}),
    ("POST", {"X-Moz": "prefetch"}),
    ("POST", {"Sec-Fetch-Site": "cross-site"}),
    ("PUT", {}),
    ("DELETE", {}),
]


def headline(page: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page.text)
    assert found is not None, page.text
    return found[1]


def without_nonce(page: httpx.Response) -> str:
    return re.sub(r'nonce="[^"]*"', "", page.text)


async def claim(links: Links, path: str) -> httpx.Response:
    """Press the button and follow to the result."""
    return await links.api.client(None).post(path, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True)


async def test_whoever_looks_before_her_earns_nothing(links: Links) -> None:
    path = await links.path()
    for method, headers in READERS:
        answer = await links.api.client(None).request(method, path, headers=headers)
        assert answer.status_code in {200, 204, 403, 405}, (method, headers)
        assert await links.balance() == 0
    await claim(links, path)
    assert await links.balance() == 25


async def test_a_page_takes_what_it_takes_and_nothing_else(links: Links) -> None:
    client = links.api.client(None)
    path = await links.path()
    shown, head = await client.get(path), await client.head(path)
    assert head.content == b""
    assert (head.status_code, len(head.headers["content-length"])) == (200, len(shown.headers["content-length"]))
    assert (await client.options(path)).headers["allow"] == "GET, HEAD, POST, OPTIONS"
    for refused, allowed in ((path, "GET, HEAD, POST, OPTIONS"), ("/r/done/x", "GET, HEAD, OPTIONS")):
        answer = await client.put(refused)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] == allowed
    for nowhere in ("/r", "/r/", f"{path}/x", "/r/done/x/y"):
        answer = await client.get(nowhere)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), nowhere
    assert (await client.get(f"{path}/")).status_code == 200


async def test_a_claim_is_paid_and_shown_on_a_clean_page(links: Links) -> None:
    path = await links.path()
    answer = await links.api.client(None).post(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/r/done/")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    shown = await links.api.client(None).get(answer.headers["location"])
    assert shown.status_code == 200
    assert headline(shown) == "25 Lumens added"
    assert "https://shop.example/autumn" in shown.text
    assert path.rpartition("/")[2] not in shown.text


async def test_claiming_again_shows_the_first_result(links: Links) -> None:
    path = await links.path()
    assert headline(await claim(links, path)) == "25 Lumens added"
    for _ in range(3):
        assert headline(await claim(links, path)) == "You already have these"
    assert await links.balance() == 25


async def test_looking_at_a_claimed_link_shows_the_result_and_no_balance(links: Links) -> None:
    path = await links.path()
    await claim(links, path)
    page = await links.api.client(None).get(path)
    assert headline(page) == "You already have these"
    assert "already paid you its 25 Lumens" in page.text
    assert "<button" not in page.text
    assert "Your balance" not in page.text
    assert "https://shop.example/autumn" in page.text


async def test_weak_evidence_waits_and_the_customers_own_act_is_paid(api: Api) -> None:
    await make_campaign(api.client("admin"), rules=[{"action": "open", "points": 5, "min_evidence": "B"}])
    links = Links(api)
    path = await links.path(action="open", channel="email")
    report = {
        "campaign": "autumn",
        "message_id": "newsletter-0412",
        "customer": {"id": "C-1001"},
        "action": "open",
        "channel": "email",
    }
    answer = await api.client("messaging").post("/v1/grants", json=report)
    assert answer.json()["outcome"] == "waiting"
    assert headline(await api.client(None).get(path)) == "5 Lumens for you"
    assert headline(await claim(links, path)) == "5 Lumens added"


async def test_fifty_claims_at_once_pay_once(links: Links) -> None:
    path = await links.path()
    pages = await asyncio.gather(*(claim(links, path) for _ in range(50)))
    assert sorted(headline(page) for page in pages) == ["25 Lumens added", *["You already have these"] * 49]
    assert await links.balance() == 25


async def test_the_click_our_link_saw_and_the_click_the_sender_saw_are_one(links: Links) -> None:
    await claim(links, await links.path())
    report = {
        "campaign": "autumn",
        "message_id": "newsletter-0412",
        "customer": {"id": "C-1001"},
        "action": "click",
        "channel": "email",
    }
    answer = await links.api.client("messaging").post("/v1/grants", json=report)
    assert answer.status_code == 200
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert await links.balance() == 25


async def test_what_cannot_be_paid_is_said_kindly(api: Api) -> None:
    admin = api.client("admin")
    await make_campaign(admin, budget=25, caps=[{"per": "customer", "window": "day", "max_grants": 1}])
    links = Links(api)
    first, second = await links.path(), await links.path(message_id="newsletter-0413")
    someone_else = await links.path("C-2002")
    assert headline(await claim(links, first)) == "25 Lumens added"
    capped = await claim(links, second)
    assert headline(capped) == "That is all for now"
    assert "https://shop.example/autumn" in capped.text
    assert headline(await claim(links, someone_else)) == "All given away"
    assert await links.balance() == 25


async def test_a_campaign_that_is_over_says_so_and_leads_on(links: Links) -> None:
    path = await links.path()
    later = datetime.now(UTC) + timedelta(days=31)
    page = await visits.look(links.api.services, path.removeprefix("/r/"), Visitor("GET", {}, "", later))
    assert page.status_code == 200
    assert "This offer has ended" in page.content
    assert "https://shop.example/autumn" in page.content
    assert "<button" not in page.content


async def test_an_expired_link_is_gone_and_leads_on(links: Links) -> None:
    path = await links.path()
    later = datetime.now(UTC) + timedelta(days=40)
    for visit in visits.look, visits.claim:
        page = await visit(links.api.services, path.removeprefix("/r/"), Visitor("GET", {}, "", later))
        assert page.status_code == 410
        assert "This link has expired" in str(page.content)
        assert "https://shop.example/autumn" in str(page.content)
    assert await links.balance() == 0


async def test_a_revoked_link_is_gone_and_leads_on(links: Links, owner: asyncpg.Connection[Any]) -> None:
    path = await links.path()
    await owner.execute("UPDATE rewards.link SET revoked_at = now()")
    for method in "GET", "POST":
        page = await links.api.client(None).request(method, path)
        assert page.status_code == 410
        assert headline(page) == "This link was withdrawn"
        assert "https://shop.example/autumn" in page.text
    assert await links.balance() == 0


async def test_all_links_that_are_not_ours_look_alike(links: Links, owner: asyncpg.Connection[Any]) -> None:
    client = links.api.client(None)
    path = await links.path()
    services = links.api.services
    ours = link_tokens.verify(
        path.removeprefix("/r/"), services.token_keys.links, hosts=["rewards.test"], now=int(datetime.now(UTC).timestamp())
    )
    await make_brand(owner, "other")

    def signed(**changed: Any) -> str:
        return "/r/" + link_tokens.sign(msgspec.structs.replace(ours, **changed), services.token_keys.links)

    strangers = [
        "/r/hello",
        path[:-5],
        path[:-1] + ("A" if path[-1] != "A" else "B"),
        signed(host="links.another.example"),
        signed(link_id=bytes(20)),
        signed(brand="other"),
        signed(brand="nobody"),
        signed(customer=ours.customer + 1),
        "/r/done/hello",
    ]
    pages = [
        await client.request(method, stranger) for stranger in strangers for method in ("GET", "POST") if "done" not in stranger
    ]
    assert {page.status_code for page in pages} == {404}
    assert len({without_nonce(page) for page in pages}) == 1
    assert "shop.example" not in pages[0].text


async def test_a_program_that_asks_for_json_gets_problems(links: Links, owner: asyncpg.Connection[Any]) -> None:
    path = await links.path()
    await owner.execute("UPDATE rewards.link SET revoked_at = now()")
    for asked, status, code in ((path, 410, "link_revoked"), ("/r/hello", 404, "not_found")):
        answer = await links.api.client(None).get(asked, headers={"Accept": "application/json"})
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_old_receipt_no_longer_shows_the_balance(links: Links) -> None:
    answer = await links.api.client(None).post(await links.path())
    sealed = answer.headers["location"].removeprefix("/r/done/")
    now = datetime.now(UTC)
    fresh = await visits.review(links.api.services, sealed, Visitor("GET", {}, "", now))
    stale = await visits.review(links.api.services, sealed, Visitor("GET", {}, "", now + timedelta(minutes=20)))
    assert "Your balance" in fresh.content
    assert "Your balance" not in stale.content
    assert "25 Lumens added" in stale.content


async def test_an_offer_page_is_in_the_brands_name_and_colours(links: Links) -> None:
    page = await links.api.client(None).get(await links.path())
    assert headline(page) == "25 Lumens for you"
    assert "Autumn thank-you" in page.text
    assert links.api.brand.accent_color in page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"


# ---- While the database is away


async def test_while_the_database_is_away_the_link_still_leads_on(wired: tuple[Links, Wire]) -> None:
    links, wire = wired
    path = await links.path()
    wire.cut()
    page = await links.api.client(None).get(path)
    assert page.status_code == 200
    assert headline(page) == "Lumens for you"
    assert "https://shop.example/autumn" in page.text
    program = await links.api.client(None).get(path, headers={"Accept": "application/json"})
    assert (program.status_code, program.json()["code"]) == (503, "database_unavailable")
    assert (await links.api.client(None).get(f"{path}x")).status_code == 404
    wire.mend()
    assert headline(await claim(links, path)) == "25 Lumens added"
    assert await links.balance() == 25
