"""The API's description in a real browser, which is let reach this machine only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser, Request

    from tests.browser.conftest import Site


async def test_the_documentation_shows_the_api_and_asks_nothing_of_other_hosts(site: Site, browser: Browser) -> None:
    page = await browser.new_page()
    asked: list[str] = []
    complaints: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{site.base_url}/docs")
    await page.wait_for_selector("text=Rewards API")
    operation = page.locator("#operations-meta-read_meta")
    await operation.click()
    await operation.locator("text=unauthorized").first.wait_for()
    assert complaints == []
    others = [url for url in asked if not url.startswith((site.base_url, "data:"))]
    assert others == []
    await page.goto(f"{site.base_url}/docs/errors#missing_scope")
    assert "scope" in await page.inner_text("dt:target + dd")
    await page.close()
