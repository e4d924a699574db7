"""A form on a stranger's page cannot press our button, also where a browser does not say whose page it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.screens import follow

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

    from tests.browser.conftest import Site


async def without_fetch_metadata(route: Route) -> None:
    """Send a request as a browser does that knows no ``Sec-Fetch-Site``, or that is on plain http."""
    headers = {name: value for name, value in (await route.request.all_headers()).items() if not name.startswith("sec-fetch-")}
    await route.continue_(headers=headers)


async def test_our_own_button_is_pressed_on_our_page(site: Site, page: Page) -> None:
    url = await site.mint("C-1001")
    await page.route(f"{site.base_url}/r/**", without_fetch_metadata)
    await page.goto(url)
    async with page.expect_request(lambda request: request.method == "POST") as asked:
        await follow(page, "text=Add 25 Mu")
    sent = await (await asked.value).all_headers()
    assert sent["origin"] == site.base_url
    assert await page.inner_text("h1") == "25 Mu added"


@pytest.mark.parametrize("policy", ["no-referrer", "unsafe-url"])
async def test_a_strangers_form_presses_nothing(site: Site, page: Page, policy: str) -> None:
    url = await site.mint("C-1002")
    form = f'<form method="post" action="{url}"><button>Win a prize</button></form>'

    async def stranger(route: Route) -> None:
        await route.fulfill(body=form, content_type="text/html", headers={"Referrer-Policy": policy})

    await page.route("http://stranger.test/", stranger)
    await page.route(f"{site.base_url}/r/**", without_fetch_metadata)
    await page.goto("http://stranger.test/")
    await page.click("button")
    await page.wait_for_url(f"{site.base_url}/**")
    assert await site.balance("C-1002") == 0
