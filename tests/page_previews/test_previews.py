"""A preview shows a page with settings that are not saved, and nothing on it does anything."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import Any, get_args

import httpx
import pytest

from service.page_previews.pages import Previewed
from service.pages.words import LANGUAGES
from tests.api_fixtures import Api
from tests.brands.pictures import png

PAGES: tuple[str, ...] = get_args(Previewed)
FACE: dict[str, Any] = {
    "name": "Lumen & Co",
    "points_name": "Sparks",
    "accent_color": "#7a3e1d",
    "banner": base64.b64encode(png(9, 2)).decode(),
    "font": "serif",
    "corner_radius": 4,
    "goals": [{"name": "A coffee on us", "points": 500}],
    "point_value": {"points": 100, "minor_units": 50},
}


async def preview(api: Api, page: str, key: str = "admin", query: str = "", **face: Any) -> httpx.Response:
    return await api.client(key).post(f"/v1/brand/previews/{page}{query}", json=face)


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_shown_with_what_is_not_saved(api: Api, page: str) -> None:
    before = (await api.client("admin").get("/v1/brand")).json()
    as_it_is, drafted = await preview(api, page), await preview(api, page, **FACE)
    assert (as_it_is.status_code, drafted.status_code) == (200, 200), drafted.text
    assert "--accent: #1f4fd8;" in as_it_is.text
    assert "Lumen &amp; Co" in drafted.text
    for said in ("--accent: #7a3e1d;", "--radius: 4px;", "--font: ui-serif,", FACE["banner"]):
        assert said in drafted.text
    assert (await api.client("admin").get("/v1/brand")).json() == before


@pytest.mark.parametrize("page", PAGES)
async def test_nothing_on_it_does_anything(api: Api, page: str) -> None:
    answer = await preview(api, page)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'; sandbox" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert "refresh" not in answer.headers
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)
    parser.feed(answer.text)
    assert not {"script", "iframe", "object", "embed"} & set(tags)
    assert tags.count("h1") == 1


async def test_a_theme_is_chosen(api: Api) -> None:
    for query, condition in (("", "(prefers-color-scheme: dark)"), ("?theme=dark", "all"), ("?theme=light", "not all")):
        text = (await preview(api, "wallet", query=query)).text
        assert f"@media {condition} {{" in text
        assert ("prefers-color-scheme" in text) is (not query)
    answer = await preview(api, "wallet", query="?theme=sepia")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?theme")


async def test_what_could_not_be_saved_is_not_shown(api: Api) -> None:
    answer = await preview(api, "claim", accent_color="blue", corner_radius=99)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    answer = await preview(api, "claim", banner=base64.b64encode(b"<svg/>").decode())
    assert answer.json()["errors"][0] == {
        "pointer": "/banner",
        "code": "invalid_field",
        "detail": "must be a PNG, JPEG or WebP picture",
    }
    answer = await preview(api, "nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_saved_picture_is_shown_and_null_takes_it_away(api: Api) -> None:
    (await api.client("admin").patch("/v1/brand", json={"banner": FACE["banner"]})).raise_for_status()
    assert FACE["banner"] in (await preview(api, "claim")).text
    assert FACE["banner"] in (await preview(api, "claim", font="mono")).text
    assert FACE["banner"] not in (await preview(api, "claim", banner=None)).text


async def test_only_an_administrator_sees_previews(api: Api) -> None:
    for name in ("messaging", "storefront", "finance"):
        assert (await preview(api, "claim", key=name)).json()["code"] == "missing_scope"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_there_in_every_language(api: Api, language: str) -> None:
    for page in PAGES:
        answer = await preview(api, page, language=language)
        assert answer.status_code == 200, (page, answer.text)
        assert f'<html lang="{language}"' in answer.text
