"""The service's own address in a browser, and the demo's way from there: a link, its points, the wallet, the shop."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.demo_shop.goods import GOODS
from tests.browser.screens import EVERYWHERE, PHONE_AND_DESKTOP, follow, seen
from tests.demo_fixtures import Demo, serving_demo

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.conftest import Database


@pytest.fixture
async def demo(database: Database, tmp_path: Path) -> AsyncGenerator[Demo]:
    async with serving_demo(database, tmp_path) as demo:
        yield demo


@EVERYWHERE
async def test_the_start_page(demo: Demo, page: Page) -> None:
    await page.goto(demo.base_url)
    assert await page.inner_text("h1") == "Atomic Rewards"
    await seen(page, "start")
    await page.set_viewport_size({"width": 320, "height": 568})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


@PHONE_AND_DESKTOP
async def test_the_demo_leads_from_a_link_to_the_wallet_and_the_shop(demo: Demo, page: Page) -> None:
    await page.goto(demo.base_url)
    await follow(page, "text=Open a reward link")
    assert await page.inner_text("h1") == "25 Beans for you"
    await follow(page, "button")
    assert await page.inner_text("h1") == "25 Beans added"
    await page.goto(demo.base_url)
    await follow(page, "text=Your wallet")
    assert "125" in await page.inner_text(".points")
    assert "€12.50" in await page.inner_text(".worth")
    await seen(page, "demo-wallet")
    await page.goto(demo.base_url)
    await follow(page, "text=The shop")
    assert f"{GOODS[0].price} or {GOODS[0].points} Beans" in await page.inner_text("main")
    assert await page.inner_text(".has") == "125 Beans"
    await seen(page, "demo-shop")
    await follow(page, "button >> nth=0")
    assert await page.inner_text("h1") == "Enjoy your Espresso"
    assert await page.inner_text(".has") == "103 Beans"
    assert "12 Beans to go" in await page.inner_text("main")
    await seen(page, "demo-shop-paid")
    await follow(page, ".has")
    assert "103" in await page.inner_text(".points")
