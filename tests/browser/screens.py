"""The screens that pages are looked at on, and what a customer does with a page.

``REWARDS_SCREENSHOTS=<folder> make test`` keeps a picture of each page that a test shows with ``seen``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.async_playwright import Axe

if TYPE_CHECKING:
    from playwright.async_api import Page

SCREENS = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 860}}
PICTURES = os.environ.get("REWARDS_SCREENSHOTS")

PHONE_AND_DESKTOP = pytest.mark.parametrize("page", [("phone", "light"), ("desktop", "dark")], ids="-".join, indirect=True)
# Each screen and each scheme once: neither changes the other. Pictures are wanted of all of them.
EVERYWHERE = (
    pytest.mark.parametrize(
        "page", [(screen, scheme) for screen in SCREENS for scheme in ("light", "dark")], ids="-".join, indirect=True
    )
    if PICTURES
    else PHONE_AND_DESKTOP
)


async def seen(page: Page, name: str) -> None:
    """Look at a page: nothing sticks out to the side, and a picture of it is kept if one is asked for."""
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide"
    assert await page.locator("h1").count() == 1
    size = page.viewport_size
    assert size is not None
    if PICTURES:
        screen = next(screen for screen, known in SCREENS.items() if known["width"] == size["width"])
        scheme = "dark" if await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
        await page.screenshot(path=Path(PICTURES) / f"{name}-{screen}-{scheme}.png", full_page=True, animations="disabled")


async def accessible(page: Page, name: str) -> None:
    """Let axe look at a page: it finds nothing to complain of (WCAG 2.2 A and AA, and its best practices)."""
    axe: Any = Axe()
    violations: list[Any] = (await axe.run(page)).response["violations"]
    nodes = [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in violations for node in each["nodes"]]
    assert not nodes, f"{name}: {nodes}"


async def follow(page: Page, selector: str) -> None:
    """Click what leads to another page and wait for it: a click alone returns before the page it asks for is there."""
    async with page.expect_navigation():
        await page.click(selector)


async def follow_by_keyboard(page: Page) -> None:
    """Take the first thing that the keyboard reaches and wait for the page it leads to."""
    await page.keyboard.press("Tab")
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
