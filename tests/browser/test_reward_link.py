"""What a customer does with a reward link, in a real browser, without JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from service.tokens import link as link_tokens
from tests.browser.screens import EVERYWHERE, follow, follow_by_keyboard

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.conftest import Site


def expired(url: str, site: Site) -> str:
    """The same link as if it had been minted a day ago for an hour."""
    services = site.app.state.services
    minted = link_tokens.verify(url.rpartition("/")[2], services.token_keys.links, hosts=(services.link_hosts.host,), now=0)
    an_hour_long = msgspec.structs.replace(
        minted, issued_at=minted.issued_at - 86_400, sent_at=minted.sent_at - 86_400, expires_at=minted.issued_at - 82_800
    )
    return f"{site.base_url}/r/{link_tokens.sign(an_hour_long, services.token_keys.links)}"


@EVERYWHERE
async def test_a_customer_claims_and_goes_on(site: Site, page: Page) -> None:
    url = await site.mint("C-1001")

    await page.goto(url)
    assert await page.inner_text("h1") == "25 Mu for you"
    assert await site.balance("C-1001") == 0
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    button = await page.locator("button").bounding_box()
    viewport = page.viewport_size
    assert button is not None
    assert viewport is not None
    assert button["y"] + button["height"] < viewport["height"], "the button is seen without scrolling"

    await follow(page, "text=Add 25 Mu")
    assert await page.inner_text("h1") == "25 Mu added"
    assert await page.inner_text("dl") == "Your balance\n25 Mu"
    assert await site.balance("C-1001") == 25
    assert url.rpartition("/")[2] not in page.url

    await page.reload()
    assert await page.inner_text("h1") == "25 Mu added"
    assert await site.balance("C-1001") == 25

    async with page.expect_request("**/demo/shop") as asked:
        await follow(page, "text=Continue to Bluebird Coffee")
    assert "referer" not in await (await asked.value).all_headers()
    assert await page.inner_text("h1") == "You have arrived where the link was going"


async def test_a_link_that_was_claimed_says_so_kindly(site: Site, page: Page) -> None:
    url = await site.mint("C-1002")
    await page.goto(url)
    await follow(page, "button")
    await page.goto(url)
    assert await page.inner_text("h1") == "You already have these"
    assert await page.locator("button").count() == 0
    await follow(page, "text=Continue to Bluebird Coffee")
    assert page.url == f"{site.base_url}/demo/shop"
    assert await site.balance("C-1002") == 25


async def test_going_back_and_claiming_again_is_harmless(site: Site, page: Page) -> None:
    await page.goto(await site.mint("C-1003"))
    await follow(page, "button")
    await page.go_back()
    # A page that was kept has its button still; one that is fetched again has none.
    if await page.locator("button").count():
        await follow(page, "button")
    assert await page.inner_text("h1") == "You already have these"
    assert await site.balance("C-1003") == 25


async def test_the_keyboard_is_enough(site: Site, page: Page) -> None:
    await page.goto(await site.mint("C-1004"))
    await follow_by_keyboard(page)
    assert await page.inner_text("h1") == "25 Mu added"
    await follow_by_keyboard(page)
    assert page.url == f"{site.base_url}/demo/shop"


async def test_who_does_not_want_the_points_goes_on_without(site: Site, page: Page) -> None:
    await page.goto(await site.mint("C-1005"))
    await follow(page, "text=Skip and continue")
    assert page.url == f"{site.base_url}/demo/shop"
    assert await site.balance("C-1005") == 0


async def test_an_expired_link_still_leads_on(site: Site, page: Page) -> None:
    url = expired(await site.mint("C-1006"), site)
    answer = await page.goto(url)
    assert answer is not None
    assert answer.status == 410
    assert await page.inner_text("h1") == "This link has expired"
    await follow(page, "text=Continue to Bluebird Coffee")
    assert page.url == f"{site.base_url}/demo/shop"


async def test_an_altered_link_is_nobodys(site: Site, page: Page) -> None:
    url = await site.mint("C-1007")
    answer = await page.goto(url[:-4])
    assert answer is not None
    assert answer.status == 404
    assert await page.inner_text("h1") == "We cannot find this link"
    assert await page.locator("a, button").count() == 0


async def test_another_sites_form_claims_nothing(site: Site, page: Page) -> None:
    url = await site.mint("C-1008")
    await page.goto("about:blank")
    await page.set_content(f'<form method="post" action="{url}"><button>Win a car</button></form>')
    await follow(page, "button")
    assert await page.inner_text("h1") == "Please tap the button here"
    assert await site.balance("C-1008") == 0
    await follow(page, "text=Add 25 Mu")
    assert await page.inner_text("h1") == "25 Mu added"
