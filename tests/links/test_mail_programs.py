"""What mail programs and messengers take for a part of a link's address, and people type into a browser."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.api_fixtures import BASE_URL
from tests.links.conftest import Links
from tests.links.test_offline_links import Signer
from tests.links.test_visits import claim, headline

BEHIND = [
    ".",
    ")",
    ").",
    "...",
    "…",
    ",",
    ";",
    ":",
    "!",
    "?",
    "'",
    '"',
    "”",
    "»",
    "]",
    "}",
    ">",
    "&gt;",
    "&nbsp;",
    "*",
    "_",
    "~",
    "=",
    "\\",
    "|",
    " ",
]


@pytest.mark.parametrize("behind", BEHIND)
async def test_what_stands_behind_a_link_is_cut_off(links: Links, behind: str) -> None:
    path = await links.path()
    page = await links.api.client(None).get(path + quote(behind))
    assert (page.status_code, headline(page)) == (200, "25 Lumens for you")
    assert headline(await claim(links, path + quote(behind))) == "25 Lumens added"
    assert headline(await claim(links, path)) == "You already have these"


@pytest.mark.parametrize("behind", BEHIND)
async def test_what_stands_behind_a_short_link_is_cut_off(links: Links, behind: str) -> None:
    [minted] = await links.mint(links.item(short=True))
    path = minted["short_url"].removeprefix(BASE_URL) + quote(behind)
    assert headline(await links.api.client(None).get(path)) == "25 Lumens for you"
    assert headline(await claim(links, path)) == "25 Lumens added"


async def test_what_stands_behind_a_link_that_the_brand_signed_is_cut_off(links: Links) -> None:
    signer = await Signer(links).register()
    path = signer.path()
    assert headline(await claim(links, f"{path}).")) == "25 Lumens added"
    assert headline(await claim(links, path)) == "You already have these"


@pytest.mark.parametrize("kind", ["wallet", "preferences"])
async def test_what_stands_behind_a_page_of_ones_own_is_cut_off(links: Links, kind: str) -> None:
    await links.path()
    answer = await links.api.client("messaging").post(
        "/v1/page-links", json={"pages": [{"customer": {"id": "C-1001"}, "kind": kind}]}
    )
    path = answer.json()["results"][0]["url"].removeprefix(BASE_URL)
    assert (await links.api.client(None).get(f"{path}).")).status_code == 200


@pytest.mark.parametrize("changed", ["x", "0", ".x", "A.", "%41"])
async def test_letters_that_may_be_a_part_of_it_are_not_cut_off(links: Links, changed: str) -> None:
    path = await links.path()
    status = 200 if changed == ".x" else 404
    assert (await links.api.client(None).get(path + changed)).status_code == status
    assert (await links.api.client(None).get(path[:-1])).status_code == 404
