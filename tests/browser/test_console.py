"""The console in a real browser without JavaScript: each role signs in with one click and finds what is theirs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.auth.roles import Role, scopes_of
from service.auth.scopes import Scope
from tests.browser.conftest import new_context
from tests.browser.screens import EVERYWHERE, accessible, follow, seen
from tests.demo_fixtures import Demo, serving_demo

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.conftest import Database


MONEY = (
    "/console/money",
    "/console/money?from=x",
    "/console/money/reports/roll-forward",
    "/console/money/trial-balance",
    "/console/money/closes",
    "/console/money/closes/2026-01",
)


@pytest.fixture
async def demo(database: Database, tmp_path: Path) -> AsyncGenerator[Demo]:
    async with serving_demo(database, tmp_path) as demo:
        yield demo


@pytest.fixture
async def page(request: pytest.FixtureRequest, browser: Browser) -> AsyncGenerator[Page]:
    """A page of a browser of its own, as it keeps a cookie."""
    context = await new_context(browser, *request.param)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    await context.close()
    assert [each for each in complaints if "Failed to load resource" not in each] == []


async def sign_in(page: Page, demo: Demo, role: Role) -> None:
    await page.goto(f"{demo.base_url}/console")
    await follow(page, f'button[value="{role}"]')
    assert await page.inner_text("h1") == "Overview"


@EVERYWHERE
async def test_each_role_finds_its_figures(demo: Demo, page: Page) -> None:
    await page.goto(demo.base_url)
    await follow(page, "text=Console")
    await seen(page, "console-sign-in")
    for role in Role:
        await sign_in(page, demo, role)
        assert str(role) in (await page.text_content(".person summary") or "")
        shows_books = await page.locator("svg.chart").count() > 0
        assert shows_books is (Scope.LEDGER_READ in scopes_of([role])), role
        await seen(page, f"console-overview-{role}")
        await page.click(".person summary")
        await follow(page, "text=Sign out >> nth=0")
        assert "You are signed out" in await page.inner_text("main")


@EVERYWHERE
async def test_a_picture_unfolds_its_table_and_leads_to_the_rows(demo: Demo, page: Page) -> None:
    await sign_in(page, demo, Role.AUDITOR)
    await page.click("text=The figures >> nth=1")
    await seen(page, "console-figures")
    await follow(page, '[aria-labelledby="c-granted"] td a >> nth=0')
    assert await page.inner_text("h1") == "Transfers"
    await seen(page, "console-transfers")
    await page.goto(f"{demo.base_url}/console")
    await page.evaluate("document.documentElement.dir = 'rtl'")
    await seen(page, "console-rtl")
    await page.set_viewport_size({"width": 320, "height": 568})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


@EVERYWHERE
async def test_what_is_not_theirs_is_refused_in_words(demo: Demo, page: Page) -> None:
    await sign_in(page, demo, Role.MARKETING)
    answer = await page.goto(f"{demo.base_url}/console/transfers")
    assert answer is not None
    assert answer.status == 403
    await seen(page, "console-refused")
    await follow(page, "text=Back to the overview")
    assert await page.inner_text("h1") == "Overview"


@pytest.mark.parametrize(("screen", "scheme"), [("phone", "light"), ("desktop", "dark")])
async def test_axe_finds_nothing(demo: Demo, browser: Browser, screen: str, scheme: str) -> None:
    context = await new_context(browser, screen, scheme, scripts=True)
    page = await context.new_page()
    for path in ("/console/sign-in", "/console/sign-in?out=yes", "/console/enrol", "/console/nothing"):
        await page.goto(demo.base_url + path)
        await accessible(page, path)
    await page.goto(f"{demo.base_url}/console/sign-in")
    for name in ("brand", "login", "password", "code"):
        await page.fill(f"#f-{name}", "x")
    await follow(page, "text=Sign in >> nth=-1")
    assert await page.inner_text('[role="alert"]')
    await accessible(page, "sign in, refused")
    await sign_in(page, demo, Role.AUDITOR)
    for summary in await page.locator("summary").all():
        await summary.click()
    await accessible(page, "overview, with all unfolded")
    for path in ("/console/transfers", "/console/transfers?from=x", *MONEY):
        await page.goto(demo.base_url + path)
        await accessible(page, path)
    await context.close()


@EVERYWHERE
async def test_the_keyboard_comes_to_the_content_first(demo: Demo, page: Page) -> None:
    await sign_in(page, demo, Role.AUDITOR)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("location.hash") == "#main"


@pytest.fixture
async def at_localhost(database: Database, tmp_path: Path) -> AsyncGenerator[Demo]:
    """A demo under a name: passkeys belong to one."""
    async with serving_demo(database, tmp_path, host="localhost") as demo:
        yield demo


async def with_authenticator(browser: Browser) -> Page:
    """A page of a browser whose device verifies its person and keeps passkeys."""
    context = await new_context(browser, "phone", "light", scripts=True)
    page = await context.new_page()
    devices: Any = await context.new_cdp_session(page)
    await devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return page


async def test_a_passkey_signs_in(at_localhost: Demo, browser: Browser) -> None:
    page = await with_authenticator(browser)
    await sign_in(page, at_localhost, Role.FINANCE)
    await page.goto(f"{at_localhost.base_url}/console/account")
    await accessible(page, "account")
    await page.fill("#f-name", "my phone")
    await follow(page, "text=Add a passkey")
    assert "You can sign in with this passkey now" in await page.inner_text("main")
    assert "my phone" in await page.inner_text("table")
    await accessible(page, "account, with a passkey")
    await page.click(".person summary")
    await follow(page, "text=Sign out >> nth=0")
    await accessible(page, "sign in, with passkeys")
    await follow(page, "text=Sign in with a passkey")
    assert await page.inner_text("h1") == "Overview"
    assert "finance" in (await page.text_content(".person summary") or "")

    await page.goto(f"{at_localhost.base_url}/console/account")
    await follow(page, "text=Remove my phone")
    assert "You have none" in await page.inner_text("main")
    await page.click(".person summary")
    await follow(page, "text=Sign out >> nth=0")
    await follow(page, "text=Sign in with a passkey")
    assert "not known here" in await page.inner_text('[role="alert"].bad')
    await page.context.close()


async def test_without_a_name_there_are_no_passkeys(demo: Demo, browser: Browser) -> None:
    page = await with_authenticator(browser)
    await page.goto(f"{demo.base_url}/console/sign-in")
    assert await page.locator("form[data-passkey]").count() == 0
    await page.context.close()


@EVERYWHERE
async def test_finance_goes_from_the_overview_to_a_figure_and_its_transfers(demo: Demo, page: Page) -> None:
    await sign_in(page, demo, Role.FINANCE)
    await follow(page, ".figure-card a >> nth=0")
    assert await page.inner_text("h1") == "Statement"
    await seen(page, "console-money")
    await follow(page, "text=Roll-forward")
    await seen(page, "console-roll-forward")
    await follow(page, "#main td a >> nth=0")
    assert await page.inner_text("h1") == "Transfers"
    await follow(page, "text=Back to the figure")
    assert await page.inner_text("h1") == "Roll-forward"
    await follow(page, "text=Trial balance")
    await seen(page, "console-trial-balance")
    await page.goto(f"{demo.base_url}/console/money/closes/2026-01")
    await seen(page, "console-checklist")
