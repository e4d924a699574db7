"""Every page is whole by itself, sent so that nothing leaks, and says nothing that was not meant."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest

from ledger import Book
from service.brands.brand import Brand
from service.links.pages import Page, respond

BRAND = Brand(
    brand_id=1,
    book=Book(brand_id=1, book_id=1),
    code="bluebird",
    name="<b>Blue</b> & Söhne",
    mode="live",
    points_code="MU",
    points_name="Mu",
    currency="EUR",
    time_zone="Europe/Berlin",
    accent_color="#0f6b5c",
    destination_hosts=("shop.example",),
)
STATUSES = {Page.CLAIM_HERE: 403, Page.EXPIRED: 410, Page.REVOKED: 410, Page.NOT_FOUND: 404, Page.BUSY: 503}


def html_of(page: Page, brand: Brand | None = BRAND) -> str:
    return respond(
        page,
        brand=brand,
        campaign='"><script>alert(1)</script>{brand}',
        points=1_500,
        balance=12_345,
        destination="https://shop.example/?a=1&b='\"",
        can_claim=page in {Page.CLAIM, Page.CLAIM_HERE},
    ).content


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(html)
    return parser.seen


@pytest.mark.parametrize("page", Page)
def test_a_page_runs_nothing_and_loads_nothing(page: Page) -> None:
    tags = tags_of(html_of(page))
    assert {tag for tag, _ in tags} & {"script", "img", "iframe", "object", "embed", "base", "b"} == set()
    assert not any(name.startswith("on") or name == "style" for _, attributes in tags for name in attributes)
    loaded = [attributes.get("href") or "" for tag, attributes in tags if tag == "link"]
    assert all(href.startswith("data:") for href in loaded)
    assert re.search(r"@import|url\(", html_of(page)) is None


@pytest.mark.parametrize("page", Page)
def test_a_page_is_sent_so_that_nothing_leaks(page: Page) -> None:
    response = respond(page, brand=BRAND)
    assert response.status_code == STATUSES.get(page, 200)
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert "noindex" in response.headers["X-Robots-Tag"]
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    nonce = re.search(r"'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert f'<style nonce="{nonce[1]}">' in response.content
    assert nonce[1] not in respond(page, brand=BRAND).content


@pytest.mark.parametrize("page", Page)
def test_a_page_has_one_heading_and_one_thing_to_press(page: Page) -> None:
    tags = tags_of(html_of(page))
    assert [tag for tag, _ in tags].count("h1") == 1
    primary = [tag for tag, attributes in tags if tag == "button" or (tag == "a" and attributes.get("class") == "button")]
    assert len(primary) == 1
    assert ("html", {"lang": "en"}) in tags


def test_the_way_on_is_the_destination_and_tells_it_nothing() -> None:
    links = [attributes for tag, attributes in tags_of(html_of(Page.CLAIMED)) if tag == "a"]
    assert [link["href"] for link in links] == ["https://shop.example/?a=1&b='\""]
    assert links[0]["rel"] == "noreferrer noopener"


def test_a_preview_is_the_same_for_everybody() -> None:
    def previews(page: Page) -> list[str | None]:
        return [
            attributes["content"] for tag, attributes in tags_of(html_of(page)) if tag == "meta" and "property" in attributes
        ]

    assert previews(Page.CLAIM) == previews(Page.CLAIMED) == previews(Page.EXPIRED)
    assert not any("1,500" in str(text) for text in previews(Page.CLAIM))


def test_an_unknown_link_is_nobodys() -> None:
    html = respond(Page.NOT_FOUND, destination="https://shop.example/").content
    assert "shop.example" not in html
    assert "<header>" not in html


def test_a_result_says_the_points_and_the_balance() -> None:
    html = html_of(Page.CLAIMED)
    assert "1,500 Mu added" in html
    assert "12,345" in html


def test_a_test_brand_says_so() -> None:
    assert "test brand" not in html_of(Page.CLAIM)
    assert "test brand" in html_of(Page.CLAIM, msgspec.structs.replace(BRAND, mode="test"))
