"""The service on a real port of this machine, with a campaign that pays for clicks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
import uvicorn
from litestar import Litestar

from service.link_pages import lookup
from service.settings import Settings
from tests import plain_http
from tests.api_fixtures import make_brand, make_keys, make_secrets
from tests.browser.screens import SCREENS
from tests.links.campaigns import make_campaign
from tests.processes import InTurns, processes, serving

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

    from tests.conftest import Database


@dataclass
class Site:
    """The running service: where it is, and how its brand's systems reach it."""

    base_url: str
    keys: dict[str, str]
    app: Litestar

    def client(self, key_name: str) -> httpx.AsyncClient:
        """An HTTP client with one of the brand's keys."""
        return plain_http.client(base_url=self.base_url, headers={"Authorization": f"Bearer {self.keys[key_name]}"})

    async def mint(self, customer: str, **changed: Any) -> str:
        """Mint a link for a customer and return its URL."""
        link = {
            "campaign": "autumn",
            "message_id": "newsletter-0412",
            "customer": {"id": customer},
            "action": "click",
            "channel": "email",
            "destination": f"{self.base_url}/demo/shop",
            **changed,
        }
        async with self.client("messaging") as messaging:
            answer = await messaging.post("/v1/links", json={"links": [link]})
        result = answer.raise_for_status().json()["results"][0]
        assert result["status"] in {200, 201}, result
        return result["url"]

    async def own_page(self, kind: str, customer: str, **changed: Any) -> str:
        """The URL of a page of a customer's own."""
        async with self.client("messaging") as messaging:
            item = {"customer": {"id": customer}, "kind": kind, **changed}
            answer = await messaging.post("/v1/page-links", json={"pages": [item]})
        return answer.raise_for_status().json()["results"][0]["url"]

    async def change_brand(self, **changed: Any) -> None:
        """Change what the brand says of itself."""
        async with self.client("admin") as admin:
            known = (await admin.get("/v1/brand")).json()
            (await admin.put("/v1/brand", json=known | changed)).raise_for_status()

    async def grant(self, customer: str, campaign: str, message_id: str = "m-1") -> None:
        """Let a customer reply to a message."""
        act = {
            "campaign": campaign,
            "message_id": message_id,
            "action": "reply",
            "channel": "sms",
            "customer": {"id": customer},
        }
        async with self.client("messaging") as messaging:
            answer = await messaging.post("/v1/grants", json=act)
        assert answer.json()["outcome"] == "granted", answer.text

    async def balance(self, customer: str) -> int:
        """What the customer can spend."""
        async with self.client("storefront") as storefront:
            answer = await storefront.get(f"/v1/customers/{customer}/balance")
        return answer.raise_for_status().json()["balance"]


@pytest.fixture
async def site(
    request: pytest.FixtureRequest,
    database: Database,
    owner: asyncpg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AsyncGenerator[Site]:
    """The service of the brand Bluebird Coffee. It never says that it is too busy, however busy the machine is."""
    monkeypatch.setattr(lookup, "TIMEOUT_S", 60.0)
    brand = await make_brand(
        owner, "bluebird", name="Bluebird Coffee", points_name="Mu", points_code="MU", accent_color="#0f6b5c"
    )
    keys = await make_keys(owner, brand)
    listening = socket.create_server(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = Settings(database_url=database.application_url, base_url=base_url, demo=True, data_dir=str(tmp_path))
    async with serving(settings, make_secrets(), processes(request)) as apps:
        server = uvicorn.Server(uvicorn.Config(InTurns(apps), lifespan="off", log_config=None, access_log=False))
        listens = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not listens.done():  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)
        site = Site(base_url, keys, apps[0])
        async with site.client("admin") as admin:
            await make_campaign(admin, points=25)
        yield site
        server.should_exit = True
        await listens


@pytest.fixture(scope="session")
def contexts() -> dict[tuple[str, str], BrowserContext]:
    """The contexts that `page` has opened, by screen and colour scheme: a new one costs as much as what a test does in it."""
    return {}


async def new_context(browser: Browser, screen: str, scheme: str, *, scripts: bool = False) -> BrowserContext:
    """A browser that runs no scripts, unless told: axe needs them."""
    return await browser.new_context(
        viewport=SCREENS[screen],  # pyright: ignore[reportArgumentType]
        color_scheme=scheme,  # pyright: ignore[reportArgumentType]
        java_script_enabled=scripts,
        is_mobile=screen == "phone",
        has_touch=screen == "phone",
    )


@pytest.fixture
async def page(
    request: pytest.FixtureRequest, browser: Browser, contexts: dict[tuple[str, str], BrowserContext]
) -> AsyncGenerator[Page]:
    """A page of a browser that runs no scripts, on a phone unless told; whatever it complains of fails the test.

    Pages on one kind of screen share a context. None leaves a cookie in it, and each site has a port of its own.
    """
    screen, scheme = getattr(request, "param", ("phone", "light"))
    if (screen, scheme) not in contexts:
        contexts[screen, scheme] = await new_context(browser, screen, scheme)
    context = contexts[screen, scheme]
    page = await context.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # That a page has the status 404, 403 or 410 is meant.
        if not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    page.on("console", note)
    yield page
    cookies = await context.cookies()
    await context.clear_cookies()
    await page.close()
    assert complaints == []
    assert cookies == []
