"""The API's reference in a real browser, which is let reach this machine only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.async_playwright import Axe

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Request

    from tests.browser.conftest import Site


@pytest.fixture
async def docs(site: Site, browser: Browser) -> AsyncGenerator[Page]:
    """The reference of a reader who likes it dark; whatever it complains of or asks of other hosts fails the test."""
    context = await browser.new_context(color_scheme="dark", viewport={"width": 1280, "height": 860})
    page = await context.new_page()
    wrong: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((site.base_url, "data:")):
            wrong.append(request.url)

    page.on("request", note)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    await page.goto(f"{site.base_url}/docs")
    await page.wait_for_selector("text=Authenticate with")
    yield page
    await context.close()
    assert wrong == []


async def test_an_operation_is_shown_with_samples_and_what_it_refuses(docs: Page) -> None:
    paper = await docs.evaluate("getComputedStyle(document.querySelector('rapi-doc')).backgroundColor")
    assert paper not in {"rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"}
    await docs.click("[id='link-get-/v1/meta']")
    await docs.get_by_text("REWARDS_KEY").first.wait_for()
    for language in ("curl", "Python", "TypeScript"):
        assert await docs.get_by_text(language, exact=True).count() > 0
    await docs.get_by_text("unauthorized").first.wait_for(state="attached")
    axe: Any = Axe()
    found: Any = await axe.run(docs, options={"runOnly": ["color-contrast"]})
    assert found.response["violations"] == []


async def test_the_key_is_kept_as_long_as_the_tab_is_open_and_never_on_the_disk(site: Site, docs: Page) -> None:
    key = site.keys["storefront"]
    kept = """() => document.querySelector("rapi-doc").resolvedSpec?.securitySchemes?.find(
        each => each.securitySchemeId === "api_key")?.finalKeyValue"""
    assert await docs.evaluate("key => document.querySelector('rapi-doc').setApiKey('api_key', key)", key)
    await docs.reload()
    async with asyncio.timeout(30):
        # The page's policy lets Playwright wait for no expression.
        while await docs.evaluate(kept) != f"Bearer {key}":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await docs.evaluate("JSON.stringify(localStorage)") == "{}"
    other = await docs.context.new_page()
    await other.goto(f"{site.base_url}/docs")
    await other.wait_for_selector("text=Authenticate with")
    assert await other.evaluate(kept) == ""


async def test_the_page_of_errors_leads_to_each(site: Site, docs: Page) -> None:
    await docs.goto(f"{site.base_url}/docs/errors#missing_scope")
    assert "scope" in await docs.inner_text("dt:target + dd")
