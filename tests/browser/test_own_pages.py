"""What a customer does with pages of her own, her wallet and her preferences, in a real browser, without JavaScript."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.tokens import customer as customer_tokens
from service.tokens.customer import CustomerTokenKind
from tests.browser.screens import EVERYWHERE, PHONE_AND_DESKTOP, follow, seen
from tests.links.campaigns import make_campaign

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.conftest import Site

LOGO = base64.b64encode((Path(__file__).parent / "logo.png").read_bytes()).decode()


@pytest.fixture
async def coffee(site: Site) -> Site:
    """Bluebird Coffee as it would like to be seen; C-1 has earned and spent there."""
    await site.change_brand(
        logo=LOGO,
        point_value={"points": 100, "minor_units": 50},
        home_url=f"{site.base_url}/demo/shop",
        goals=[{"name": "A coffee on us", "points": 500}, {"name": "Breakfast for two", "points": 1_000}],
    )
    async with site.client("admin") as admin:
        for number, (name, points, months) in enumerate([("Welcome", 500, 3), ("Tell us about your coffee", 180, 12)]):
            rules = [{"action": "reply", "points": points}]
            await make_campaign(admin, id=f"c-{number}", name=name, rules=rules, expires_after_months=months)
        rules = [{"action": "data.preferences", "points": 50}, {"action": "reply", "channel": "sms", "points": 1}]
        await make_campaign(admin, id="profile", name="About you", rules=rules)
    await site.grant("C-1", "c-0")
    await site.grant("C-1", "c-1")
    async with site.client("storefront") as storefront:
        for order, points, capture in (("order-1", 40, True), ("order-2", 30, False)):
            redemption = {"customer": {"id": "C-1"}, "points": points, "order_ref": order, "capture": capture}
            answer = await storefront.post("/v1/redemptions", headers={"Idempotency-Key": order}, json=redemption)
            answer.raise_for_status()
    return site


@EVERYWHERE
async def test_a_customer_reads_the_wallet_and_sets_preferences(coffee: Site, page: Page) -> None:
    await page.goto(await coffee.own_page("wallet", "C-1"))
    await seen(page, "wallet")
    assert await page.inner_text(".points") == "610 Mu"
    assert await page.get_attribute("header img", "alt") == "Bluebird Coffee"
    assert await page.inner_text(".next bdi") == "Breakfast for two"
    assert await page.inner_text(".missing") == "390 Mu to go"
    assert await page.locator(".history dd").all_inner_texts() == ["−30", "−40", "+180", "+500"]

    await follow(page, "text=Your preferences")
    await seen(page, "preferences")
    assert await page.inner_text("h1") == "Your preferences"
    assert "50 Mu, once" in await page.inner_text(".reward")
    token = page.url.rpartition("/")[2]
    assert await page.locator(".channel input:checked").count() == 0
    await page.click("[role=radiogroup]:has-text('Text message (SMS)') >> text=No")
    await page.click("text=At most once a week")
    await follow(page, "button")
    await seen(page, "preferences-rewarded")
    assert await page.inner_text("h1") == "50 Mu added"
    assert token not in page.url
    assert await coffee.balance("C-1") == 660

    await page.goto(await coffee.own_page("preferences", "C-1"))
    assert await page.is_checked("input[name='channel.sms'][value=refused]")
    assert await page.locator("input[name='channel.email']:checked").count() == 0
    assert await page.is_checked("input[value=weekly]")
    assert await page.locator(".reward").count() == 0
    await page.click("text=Yes, give me Mu")
    await follow(page, "button")
    assert await page.inner_text("h1") == "Saved"
    await seen(page, "preferences-saved")
    async with coffee.client("storefront") as storefront:
        chosen = (await storefront.get("/v1/customers/C-1/preferences")).json()
    assert (chosen["frequency"], chosen["rewards"]) == ("weekly", False)
    async with page.expect_request("**/demo/shop") as asked:
        await follow(page, "text=Continue to Bluebird Coffee")
    assert "referer" not in await (await asked.value).all_headers()


async def test_a_long_history_is_turned_page_by_page(coffee: Site, page: Page) -> None:
    for n in range(22):
        await coffee.grant("C-1", "c-1", f"m-{n + 2}")
    await page.goto(await coffee.own_page("wallet", "C-1"))
    assert await page.locator(".history dd").count() == 20
    await follow(page, "text=Older")
    assert await page.locator(".history dd").count() == 6
    await follow(page, "text=Back to the newest")
    assert await page.locator(".history dd").count() == 20


async def test_the_keyboard_is_enough_to_choose(coffee: Site, page: Page) -> None:
    await page.goto(await coffee.own_page("preferences", "C-1"))
    # Past the email, which stays unsaid; of the radios in a group the arrows choose.
    for key in ("Tab", "Tab", "ArrowDown", "Tab", "ArrowDown", "Tab", "Tab"):
        await page.keyboard.press(key)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    async with coffee.client("storefront") as storefront:
        chosen = (await storefront.get("/v1/customers/C-1/preferences")).json()
    assert chosen["frequency"] == "weekly"
    assert {each["channel"]: each["status"] for each in chosen["channels"]} == {"email": "unsaid", "sms": "refused"}


async def test_another_sites_form_chooses_nothing(coffee: Site, page: Page) -> None:
    url = await coffee.own_page("preferences", "C-1")
    await page.goto("about:blank")
    await page.set_content(
        f'<form method="post" action="{url}"><input name="frequency" value="any"><button>Win</button></form>'
    )
    await follow(page, "button")
    assert "Another page tried to change your choices" in await page.inner_text("[role=alert]")
    await seen(page, "preferences-from-elsewhere")
    await follow(page, "button")
    assert await page.inner_text("h1") == "50 Mu added"


async def test_a_page_whose_time_is_up_shows_nothing(coffee: Site, page: Page) -> None:
    url = await coffee.own_page("wallet", "C-1")
    services = coffee.app.state.services
    token = url.rpartition("/")[2]
    claims = customer_tokens.verify(
        token, services.token_keys.links, kind=CustomerTokenKind.WALLET, hosts=(services.link_hosts.host,), now=0
    )
    over = msgspec.structs.replace(claims, issued_at=claims.issued_at - 3_600, expires_at=claims.expires_at - 3_600)
    answer = await page.goto(f"{coffee.base_url}/wallet/{customer_tokens.sign(over, services.token_keys.links)}")
    assert answer is not None
    assert answer.status == 410
    assert await page.inner_text("h1") == "This page has closed"
    await seen(page, "page-expired")
    assert "610" not in await page.inner_text("body")


@PHONE_AND_DESKTOP
async def test_right_to_left(coffee: Site, page: Page) -> None:
    await coffee.change_brand(
        language="ar",
        name="طائر القهوة",
        points_name="حبّة",
        logo=None,
        goals=[{"name": "قهوة مجانية", "points": 500}, {"name": "فطور لشخصين", "points": 1_000}],
    )
    await page.goto(await coffee.mint("C-9"))
    await seen(page, "claim-arabic")
    assert await page.evaluate("getComputedStyle(document.body).direction") == "rtl"
    await follow(page, "button")
    assert "25" in await page.inner_text("h1")
    await seen(page, "claimed-arabic")
    await page.goto(await coffee.own_page("wallet", "C-1"))
    await seen(page, "wallet-arabic")
    row = page.locator("section > dl > div").first
    label, points = await row.locator("dt").bounding_box(), await row.locator("dd").bounding_box()
    assert label is not None
    assert points is not None
    assert points["x"] < label["x"]
    await follow(page, "nav a:last-child")
    await seen(page, "preferences-arabic")
