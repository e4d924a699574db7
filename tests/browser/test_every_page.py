"""Every page that a link can lead to, clicked through in a real browser; and that each fits its screen in every language."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ledger import Book
from service.brands.brand import Brand, Language
from service.link_pages.pages import Page as Kind
from service.link_pages.pages import respond
from service.pages.words import LANGUAGES
from tests.browser.screens import EVERYWHERE, PHONE_AND_DESKTOP, follow, seen
from tests.browser.test_reward_link import expired
from tests.links.campaigns import make_campaign

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.conftest import Site

LOGO = base64.b64encode((Path(__file__).parent / "logo.png").read_bytes()).decode()
CLICK = {"action": "click", "channel": "email", "points": 25}


async def campaign(site: Site, name: str, **changed: Any) -> str:
    """Make a campaign that pays 25 for a click unless it is changed."""
    async with site.client("admin") as admin:
        described: dict[str, Any] = {"rules": [CLICK], **changed}
        await make_campaign(admin, id=name, name=name.title(), **described)
    return name


async def post(site: Site, path: str, body: Any = None) -> Any:
    async with site.client("messaging" if path.startswith("/v1/code") else "admin") as client:
        answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer


async def claim(page: Page, url: str) -> None:
    await page.goto(url)
    await follow(page, "button")


@PHONE_AND_DESKTOP
async def test_every_page_of_a_link(site: Site, page: Page) -> None:
    await site.change_brand(logo=LOGO)

    async def shows(headline: str, name: str, *, leads_on: bool = True) -> None:
        assert await page.inner_text("h1") == headline
        await seen(page, name)
        if leads_on:
            await follow(page, "text=Continue to Bluebird Coffee")
            assert page.url.startswith(f"{site.base_url}/demo/shop")

    url = await site.mint("C-1")
    await page.goto(url)
    await shows("25 Mu for you", "claim", leads_on=False)
    await follow(page, "button")
    await shows("25 Mu added", "claimed")
    await page.goto(url)
    await shows("You already have these", "already-claimed")

    name = await campaign(site, "capped", caps=[{"per": "customer", "window": "ever", "max_grants": 1}])
    await claim(page, await site.mint("C-1", campaign=name, message_id="m-1"))
    await claim(page, await site.mint("C-1", campaign=name, message_id="m-2"))
    await shows("That is all for now", "cap-reached")

    name = await campaign(site, "small", budget=25)
    await claim(page, await site.mint("C-1", campaign=name))
    await claim(page, await site.mint("C-2", campaign=name))
    await shows("All given away", "budget-exhausted")

    await claim(page, await site.mint("C-1", campaign=await campaign(site, "held", rules=[{**CLICK, "hold_back_days": 7}])))
    await shows("25 Mu on their way", "held-back")
    await claim(page, await site.mint("C-1", campaign=await campaign(site, "proof", rules=[{**CLICK, "min_evidence": "A"}])))
    await shows("Almost there", "waiting")

    now = datetime.now(UTC)
    name = await campaign(site, "tomorrow", starts_at=(now + timedelta(days=1)).isoformat())
    await page.goto(await site.mint("C-1", campaign=name))
    await shows("A little early", "not-started")
    url = await site.mint("C-1", campaign=await campaign(site, "paused"))
    await post(site, "/v1/campaigns/paused/pause")
    await page.goto(url)
    await shows("A short break", "paused")

    url = await site.mint("C-3", message_id="withdrawn")
    await post(site, "/v1/link-revocations", {"message_id": "withdrawn"})
    await page.goto(url)
    await shows("This link was withdrawn", "revoked")
    url = await site.mint("C-3", message_id="old")
    await page.goto(expired(url, site))
    await shows("This link has expired", "expired")
    await page.goto(f"{url[:-4]}")
    await shows("We cannot find this link", "not-found", leads_on=False)

    url = await site.mint("C-4")
    async with site.client("messaging") as messaging:
        refusal = {"status": "refused", "source": "call"}
        (await messaging.put("/v1/customers/C-4/consents/rewards", json=refusal)).raise_for_status()
    await page.goto(url)
    await shows("Nothing to earn just now", "nothing-to-earn")

    name = await campaign(site, "short", ends_at=(now + timedelta(hours=1)).isoformat())
    url = await site.mint("C-1", campaign=name)
    await post(site, "/v1/test/clock/advance", {"seconds": 7_200})
    await page.goto(url)
    await shows("This offer has ended", "over")


@PHONE_AND_DESKTOP
async def test_every_page_of_a_printed_code(site: Site, page: Page) -> None:
    await site.change_brand(logo=LOGO)
    batch = {"id": "packs", "campaign": "autumn", "action": "click", "channel": "email", "codes": 2}
    await post(site, "/v1/code-batches", batch | {"destination": f"{site.base_url}/demo/shop"})
    async with site.client("messaging") as messaging:
        file = (await messaging.get("/v1/code-batches/packs/codes")).text
    first, second = (line.split(",")[2] for line in file.splitlines()[1:3])

    await page.goto(first)
    assert await page.inner_text("h1") == "25 Mu for you"
    await seen(page, "code")
    await page.fill("#email", "nobody@nowhere")
    await follow(page, "button")
    assert "Please check the address" in await page.inner_text("[role=alert]")
    await seen(page, "code-with-a-wrong-address")
    await page.fill("#email", "someone@mail.example")
    await follow(page, "button")
    assert await page.inner_text("h1") == "25 Mu added"
    assert first.rpartition("/")[2] not in page.url
    await page.goto(first)
    assert await page.inner_text("h1") == "This code has been used"
    await seen(page, "code-taken")

    await post(site, "/v1/link-revocations", {"code_batch": "packs"})
    await page.goto(second)
    assert await page.inner_text("h1") == "This link was withdrawn"


LONG = Brand(
    brand_id=1,
    book=Book(brand_id=1, book_id=1),
    code="long",
    name="Donaudampfschifffahrtsgesellschaft & Co",
    mode="test",
    points_code="PTS",
    points_name="Zufriedenheitspunkte",
    currency="EUR",
    time_zone="Europe/Vienna",
    accent_color="#0f6b5c",
    destination_hosts=(),
    home_url="https://a-rather-long-name-of-a-shop.example/",
)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_page_fits_the_smallest_phone(page: Page, language: Language) -> None:
    """Also with long names: 320 pixels (WCAG 2.2, 1.4.10), and text of twice the size (1.4.4)."""
    brand = msgspec.structs.replace(LONG, language=language)
    answers = {
        kind: respond(
            kind,
            brand=brand,
            campaign="Sommerschlussverkaufsvorbereitungswochen",
            points=1_234_567,
            balance=98_765_432,
            can_claim=kind in {Kind.CLAIM, Kind.CLAIM_HERE, Kind.CLAIM_AWAY, Kind.CODE},
            email_is_wrong=kind is Kind.CODE,
        )
        for kind in Kind
    }
    for size, width in (("100%", 320), ("200%", 640)):
        await page.set_viewport_size({"width": width, "height": 568})
        for kind, answer in answers.items():
            await page.set_content(answer.content.replace("</style>", f"html {{ font-size: {size}; }}</style>", 1))
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{kind} in {language} at {size} is {wide} pixels wide"


@EVERYWHERE
async def test_a_display_fits_its_screen_and_counts_down(site: Site, page: Page) -> None:
    await site.change_brand(logo=LOGO)
    batch = {"id": "lobby", "campaign": "autumn", "action": "click", "channel": "email", "codes": 1}
    made = await post(site, "/v1/code-batches", batch | {"pays": "each", "rotates_every_s": 120})
    await page.goto(made.json()["display"])
    assert await page.inner_text("h1") == "Scan for 25 Mu"
    await seen(page, "display")
    assert await page.evaluate("document.documentElement.scrollHeight <= window.innerHeight"), "it has to be scrolled"
    # One that runs has its time from the clock, which after a second may be some picoseconds short of it.
    left = """() => [0, 1000].map(at => {
        for (const animation of document.getAnimations()) {
            animation.pause()
            animation.currentTime = at
        }
        return Number(getComputedStyle(document.querySelector(".left")).getPropertyValue("--left"))
    })"""
    start, next_second = await page.evaluate(left)
    assert 1 <= start <= 120
    assert next_second == start - 1


@pytest.mark.slow
async def test_a_screen_shows_the_next_code_by_itself(site: Site, page: Page) -> None:
    batch = {"id": "lobby", "campaign": "autumn", "action": "click", "channel": "email", "codes": 1}
    screen = (await post(site, "/v1/code-batches", batch | {"pays": "each", "rotates_every_s": 10})).json()["screen"]
    await page.goto(screen)
    shown = await page.locator("title").text_content()
    async with page.expect_navigation(timeout=60_000):
        pass
    then = await page.locator("title").text_content()
    assert shown is not None
    assert then is not None
    assert then != shown
    assert then[:8] == shown[:8]
    await page.goto(f"{site.base_url}/{then}")
    assert await page.inner_text("h1") == "25 Mu for you"
    await page.goto(f"{site.base_url}/{then[:8]}{'A' * 8}")
    assert await page.inner_text("h1") == "This code has changed"
    await seen(page, "code-moved-on")
