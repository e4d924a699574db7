"""A customer follows a handoff link into a shop, whose page has the script of docs/evidence.md and nothing else of ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.link_pages import handoffs
from tests.links.fetchers import PHONE

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Request

    from tests.browser.conftest import Site

DOCUMENTED = Path(__file__).parents[2] / "docs/evidence.md"


def documented_script(base_url: str) -> str:
    found = re.search(r"```html\n(<script>.*?</script>)\n```", DOCUMENTED.read_text(), re.DOTALL)
    assert found is not None
    return found[1].replace("https://rewards.example", base_url)


@asynccontextmanager
async def shop(page: str) -> AsyncGenerator[str]:
    """A shop on a port of its own, whose every page is ``page``; gives its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = page.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        # Not waited for: a browser keeps connections open that it may need.
        server.close()


@asynccontextmanager
async def browsing(browser: Browser, agent: str) -> AsyncGenerator[Page]:
    context = await browser.new_context(viewport={"width": 390, "height": 844}, user_agent=agent)
    try:
        yield await context.new_page()
    finally:
        await context.close()


def of_claims(request: Request) -> bool:
    return request.url.endswith("/v1/claims")


PAGE = '<!doctype html><html lang="en"><title>Shop</title><h1>Autumn</h1><button>Into the basket</button>{script}</html>'


def test_the_script_is_ten_lines_between_its_tags() -> None:
    assert len(documented_script("").splitlines()) <= 12


@pytest.mark.parametrize("sign", ["touch", "key"])
async def test_the_shops_page_confirms_on_the_first_touch(browser: Browser, site: Site, sign: str) -> None:
    async with shop(PAGE.format(script=documented_script(site.base_url))) as there, browsing(browser, PHONE) as page:
        await page.goto(await site.mint("C-1001", mode="handoff", destination=f"{there}/autumn?size=m"))
        # The claim is out of the address bar, and nothing was asked for yet.
        assert page.url == f"{there}/autumn?size=m"
        assert await site.balance("C-1001") == 0
        async with page.expect_response(lambda answer: of_claims(answer.request)) as answered:
            await (page.click("button") if sign == "touch" else page.keyboard.press("Tab"))
        # Its body nobody reads, so the browser does not fetch it whole.
        assert (await answered.value).status == 200
        assert await site.balance("C-1001") == 25


async def test_a_browser_that_only_loads_the_page_confirms_nothing(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoffs, "SIBLINGS_KNOWN_AFTER_S", 0.0)
    at_once: Callable[[str], str] = lambda script: script.replace("+ 3000", "")  # noqa: E731
    asked: list[Any] = []
    async with shop(PAGE.format(script=at_once(documented_script(site.base_url)))) as there, browsing(browser, PHONE) as page:
        page.on("request", lambda request: asked.append(request) if of_claims(request) else None)
        await page.goto(await site.mint("C-1001", mode="handoff", destination=f"{there}/autumn"))
        await page.mouse.move(10, 10)
        await page.mouse.wheel(0, 400)
        await page.wait_for_timeout(300)
    assert asked == []
    assert await site.balance("C-1001") == 0


async def test_a_browser_without_a_window_arrives_without_a_claim(browser: Browser, site: Site) -> None:
    async with shop(PAGE.format(script="")) as there, browsing(browser, PHONE.replace("Version/", "HeadlessChrome/")) as page:
        await page.goto(await site.mint("C-1001", mode="handoff", destination=f"{there}/autumn"))
        assert page.url == f"{there}/autumn"


async def test_the_page_of_another_shop_is_not_listened_to(browser: Browser, site: Site) -> None:
    async with shop(PAGE.format(script="")) as there, browsing(browser, PHONE) as page:
        await page.goto(await site.mint("C-1001", mode="handoff", destination=f"{there}/autumn"))
        claim = page.url.partition("rewards_claim=")[2]
        # As a page of another origin would ask; what it is answered it could not even read.
        answer = await page.request.post(
            f"{site.base_url}/v1/claims", data=f'{{"claim": "{claim}"}}', headers={"Origin": "https://evil.example"}
        )
        assert (answer.status, "access-control-allow-origin" in answer.headers) == (403, False)
    assert await site.balance("C-1001") == 0
