"""The page of a display says whose it is and what a scan earns, and shows the code of the moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx

from service.code_batches.displays import AGAIN_S
from service.code_batches.qr_codes import qr_code
from service.tokens import rotating_code
from tests.api_fixtures import BASE_URL
from tests.links.code_batches.test_code_batches import make_batch
from tests.links.conftest import Links
from tests.links.pages.test_visits import headline
from tests.links.wire import Wire


async def display(links: Links, *, rotates_every_s: int = 43_200) -> str:
    """The path of a display's page. Its code changes at noon and midnight, unless told."""
    made = await make_batch(links.api, id=f"lobby-{rotates_every_s}", codes=1, pays="each", rotates_every_s=rotates_every_s)
    return made.raise_for_status().json()["display"].removeprefix(BASE_URL)


def codes_at(links: Links, path: str, at: datetime) -> str:
    rotating = rotating_code.unseal_name(path.removeprefix("/display/"), links.api.services.token_keys.rotating_codes)
    assert rotating is not None
    return rotating_code.code_at(rotating, at, links.api.services.token_keys.codes[rotating.kid])


async def look(links: Links, path: str) -> httpx.Response:
    return await links.api.client(None).get(path, headers={"Accept": "text/html"})


async def test_it_says_what_a_scan_earns_and_shows_the_code(links: Links) -> None:
    path = await display(links)
    before = codes_at(links, path, datetime.now(UTC))
    page = await look(links, path)
    # The code may change between any two of these lines.
    shown = (before, codes_at(links, path, datetime.now(UTC)))
    assert (page.status_code, headline(page)) == (200, "Scan for 25 Lumens")
    assert 1 <= int(page.headers["refresh"]) <= 43_200
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text
    [picture] = re.findall(r'<img src="(data:image/svg[^"]+)"', page.text)
    assert unescape(picture) in [qr_code(f"{BASE_URL}/{code}").svg_data_uri(scale=10) for code in shown]
    [typed] = re.findall(r"<code[^>]*>[^/]+/([^<]+)</code>", page.text)
    assert typed.replace("-", "") in shown
    assert headline(await look(links, f"/{typed}")) == "25 Lumens for you"


async def test_seconds_are_counted_down_and_hours_are_not(links: Links) -> None:
    for rotates_every_s, is_counted in ((120, True), (121, False)):
        page = await look(links, await display(links, rotates_every_s=rotates_every_s))
        assert ("@property --left" in page.text) is is_counted
        assert f"shrink {page.headers['refresh']}s" in page.text


async def test_a_pause_is_shown_until_it_is_over(links: Links) -> None:
    path, admin = await display(links), links.api.client("admin")
    (await admin.post("/v1/campaigns/autumn/pause")).raise_for_status()
    page = await look(links, path)
    assert (headline(page), page.headers["refresh"]) == ("A short break", str(AGAIN_S))
    assert "<img" not in page.text
    (await admin.post("/v1/campaigns/autumn/resume")).raise_for_status()
    assert headline(await look(links, path)) == "Scan for 25 Lumens"


async def test_a_revoked_batch_shows_no_code(links: Links) -> None:
    path = await display(links)
    revocation = {"code_batch": "lobby-43200"}
    (await links.api.client("admin").post("/v1/link-revocations", json=revocation)).raise_for_status()
    page = await look(links, path)
    assert (page.status_code, page.headers["refresh"]) == (410, str(AGAIN_S))
    assert codes_at(links, path, datetime.now(UTC)) not in page.text.replace("-", "")


async def test_a_batch_that_does_not_rotate_has_none(links: Links) -> None:
    assert (await make_batch(links.api)).json()["display"] is None
    assert (await look(links, "/display/lobby")).status_code == 404


async def test_while_the_database_is_away_the_code_is_shown_alone(wired: tuple[Links, Wire]) -> None:
    links, wire = wired
    path = await display(links)
    wire.cut()
    page = await look(links, path)
    assert (page.status_code, headline(page)) == (200, "Scan for points")
    wire.mend()
    assert any(
        codes_at(links, path, datetime.now(UTC) - timedelta(seconds=ago)) in page.text.replace("-", "") for ago in (0, 5)
    )
