"""What a customer sees and does on her phone while PostgreSQL is stopped; when it is back, she has been paid once.

She opens a link of each kind in a real browser, and does what its page asks her to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.browser.screens import SCREENS, follow, seen
from tests.browser.test_handoff import shop
from tests.cli import running
from tests.conftest import reachable_directory
from tests.faults.test_database_away import Service
from tests.links.fetchers import PHONE

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

POINTS = 25
WITHIN_S = 60.0
SHOP_PAGE = '<!doctype html><html lang="en"><title>Shop</title><h1>The shop</h1></html>'

pytestmark = pytest.mark.slow


@pytest.fixture
def service() -> Generator[Service]:
    """An API and its PostgreSQL; the brand has a link host of its own."""
    with reachable_directory() as directory:
        service = Service(directory)
        running.wait_ready(service.port)
        links_at = f"https://r.localhost:{service.port}"
        brand = service.call("admin", "GET", "/v1/brand")
        service.call("admin", "PUT", "/v1/brand", brand | {"link_base_url": links_at})
        service.open_campaign(channel="email", points=POINTS, budget=1_000)
        yield service
        service.api.terminate()
        assert service.api.wait(30) == 0


@pytest.fixture
async def page(browser: Browser) -> AsyncGenerator[Page]:
    """Her phone."""
    context = await browser.new_context(
        viewport=SCREENS["phone"],  # pyright: ignore[reportArgumentType]
        user_agent=PHONE,
        java_script_enabled=False,
        is_mobile=True,
        has_touch=True,
    )
    yield await context.new_page()
    await context.close()


def mint(service: Service, customer: str, destination: str, **changed: Any) -> dict[str, str]:
    item = {
        "campaign": "autumn",
        "message_id": f"to-{customer}",
        "customer": {"id": customer},
        "action": "click",
        "destination": destination,
        "sent_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        **changed,
    }
    [result] = service.call("messaging", "POST", "/v1/links", {"links": [item]})["results"]
    # Nobody has a certificate for this machine.
    return {name: url.replace("https:", "http:") for name, url in result.items() if name in {"url", "short_url"}}


async def until_known(service: Service, destination: str) -> None:
    """Until the brand and where its links lead are on the local disk."""
    deadline = time.monotonic() + WITHIN_S
    wanted = (destination.encode(), f"r.localhost:{service.port}".encode())
    while not all(each in (service.directory / "spool" / "known").read_bytes() for each in wanted):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def balances(service: Service, wanted: dict[str, int]) -> dict[str, int]:
    """What these customers have, once it is what is wanted; or what they have in the end."""
    deadline = time.monotonic() + WITHIN_S
    found: dict[str, int] = {}
    while found != wanted and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
        try:
            for customer in wanted:
                answer = await asyncio.to_thread(service.call, "storefront", "GET", f"/v1/customers/{customer}/balance")
                found[customer] = answer["balance"]
        except httpx.HTTPStatusError:
            continue
    return found


async def test_she_arrives_and_is_paid_once_when_it_is_back(service: Service, page: Page) -> None:
    async with shop(SHOP_PAGE) as there:
        home, autumn = f"{there}/", f"{there}/autumn"
        service.call("admin", "PUT", "/v1/brand", service.call("admin", "GET", "/v1/brand") | {"home_url": home})
        pressed = mint(service, "pressed", autumn)
        followed = mint(service, "followed", autumn, mode="redirect")
        handed = mint(service, "handed", autumn, mode="handoff")
        typed = mint(service, "typed", autumn, mode="redirect", short=True)
        looked = mint(service, "looked", autumn, short=True)
        await until_known(service, autumn)
        await asyncio.to_thread(service.postgres.stop)

        await page.goto(pressed["url"])
        assert await page.inner_text("h1") == "Lumens for you"
        await seen(page, "away-claim")
        await follow(page, "text=Add my Lumens")
        assert await page.inner_text("h1") == "Your Lumens will follow"
        await seen(page, "away-points-follow")
        await follow(page, "text=Continue to Lumen")
        assert page.url == autumn
        # She is not sure, and presses once more.
        await page.goto(pressed["url"])
        await follow(page, "text=Add my Lumens")
        assert await page.inner_text("h1") == "Your Lumens will follow"

        for _ in range(2):
            await page.goto(followed["url"])
            assert page.url == autumn
            assert await page.inner_text("h1") == "The shop"

        await page.goto(handed["url"])
        assert page.url.startswith(f"{autumn}?")
        handed_over = parse_qs(urlsplit(page.url).query)["rewards_claim"][0]

        for code in (typed, looked):
            answer = await page.goto(code["short_url"])
            assert answer is not None
            assert answer.status == 503
            assert await page.inner_text("h1") == "Please try again in a moment"
            await seen(page, "away-code")
            await follow(page, "text=Continue to Lumen")
            assert page.url == home

        await asyncio.to_thread(service.postgres.start)
        wanted = {"pressed": POINTS, "followed": POINTS, "typed": POINTS, "handed": 0, "looked": 0}
        assert await balances(service, wanted) == wanted
        claims = [
            await asyncio.to_thread(service.call, "messaging", "POST", "/v1/claims", {"claim": handed_over}) for _ in "ab"
        ]
        assert [(claim["points"], claim["replayed"]) for claim in claims] == [(POINTS, False), (POINTS, True)]
        await page.goto(pressed["url"])
        assert await page.inner_text("h1") == "You already have these"
        await page.goto(looked["short_url"])
        await follow(page, f"text=Add {POINTS} Lumens")
        assert await page.inner_text("h1") == f"{POINTS} Lumens added"
        await asyncio.to_thread(service.wait_until_settled)
        wanted |= {"handed": POINTS, "looked": POINTS}
        assert await balances(service, wanted) == wanted
