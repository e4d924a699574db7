"""What mail programs and messengers take for a part of a link's address, and people type into a browser."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.api_fixtures import BASE_URL
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline
from tests.links.test_offline_links import Signer

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


BEHIND_A_SLASH = ["/)", "/.", "/ ", "/...", "//)", "/ /", "/\u201d"]
IN_FRONT = ['"', "<", " ", "(", "\u201c", "*_"]


@pytest.mark.parametrize("behind", BEHIND_A_SLASH)
async def test_what_stands_behind_a_slash_is_cut_off_too(links: Links, behind: str) -> None:
    [minted] = await links.mint(links.item(short=True))
    for url in (minted["url"], minted["short_url"]):
        page = await links.api.client(None).get(url.removeprefix(BASE_URL) + quote(behind))
        assert (page.status_code, headline(page)) == (200, "25 Lumens for you")
    answer = await links.api.client("messaging").post(
        "/v1/page-links",
        json={"pages": [{"customer": {"id": "C-1001"}, "kind": kind} for kind in ("wallet", "preferences")]},
    )
    for result in answer.json()["results"]:
        path = result["url"].removeprefix(BASE_URL) + quote(behind)
        assert (await links.api.client(None).get(path)).status_code == 200


@pytest.mark.parametrize("in_front", IN_FRONT)
async def test_what_stands_in_front_of_a_token_or_code_is_cut_off(links: Links, in_front: str) -> None:
    [minted] = await links.mint(links.item(short=True))
    for url in (minted["url"], minted["short_url"]):
        start, _, last = url.removeprefix(BASE_URL).rpartition("/")
        page = await links.api.client(None).get(f"{start}/{quote(in_front)}{last}")
        assert (page.status_code, headline(page)) == (200, "25 Lumens for you")


async def test_a_code_is_typed_into_a_browser_as_it_is_printed(links: Links) -> None:
    [minted] = await links.mint(links.item(short=True))
    code = minted["short_url"].rpartition("/")[2]
    groups = [code[n : n + 4] for n in range(0, 16, 4)]
    for typed in (
        "-".join(groups),
        "+".join(groups),
        " ".join(groups),
        " ".join(groups).lower(),
        f"R/{code}",
        f"r/{'-'.join(groups)}",
    ):
        assert headline(await links.api.client(None).get(f"/{quote(typed)}")) == "25 Lumens for you"
    assert headline(await claim(links, f"/{'-'.join(groups)}")) == "25 Lumens added"


@pytest.mark.parametrize(
    "path", ["/x", "/foo/bar", "/r", "/wallet/", "/preferences", "/ABCDEFGH", "/qr/", "/display/", "/docs/nothing"]
)
async def test_who_browses_to_nothing_is_told_so_on_a_page(links: Links, path: str) -> None:
    client = links.api.client(None)
    page = await client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, headline(page)) == (404, "We cannot find this link")
    head = await client.head(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (head.status_code, head.content, head.headers["content-type"]) == (404, b"", "text/html; charset=utf-8")
    for accept in ("application/json", "*/*"):
        assert (await client.get(path, headers={"Accept": accept})).json()["code"] == "not_found"
    assert (await client.get("/v1/nothing", headers={"Accept": "text/html"})).json()["code"] in {"not_found", "unauthorized"}


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
