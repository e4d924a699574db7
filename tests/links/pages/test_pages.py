"""Every page is whole by itself, sent so that nothing leaks, and says nothing that was not meant."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import msgspec
import pytest

from ledger import Book
from service.brands.brand import Brand, Language
from service.link_pages.pages import Page, respond
from service.pages.words import LANGUAGES
from tests.brands.pictures import png

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
STATUSES = {
    Page.CLAIM_HERE: 403,
    Page.CODE_TAKEN: 410,
    Page.CODE_MOVED_ON: 410,
    Page.EXPIRED: 410,
    Page.REVOKED: 410,
    Page.PAGE_EXPIRED: 410,
    Page.NOT_FOUND: 404,
    Page.BUSY: 503,
    Page.TOO_MANY_GUESSES: 429,
}
LOGO = msgspec.structs.replace(BRAND, logo="0", picture=png(3, 2))


def html_of(page: Page, brand: Brand | None = BRAND) -> str:
    return respond(
        page,
        brand=brand,
        campaign='"><script>alert(1)</script>{brand}',
        points=1_500,
        balance=12_345,
        destination="https://shop.example/?a=1&b='\"",
        can_claim=page in {Page.CLAIM, Page.CLAIM_HERE, Page.CODE},
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
    tags = tags_of(html_of(page, LOGO))
    assert {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "base", "b"} == set()
    assert not any(name.startswith("on") or name == "style" for _, attributes in tags for name in attributes)
    loaded = [attributes.get("href") or attributes.get("src") or "" for tag, attributes in tags if tag in {"link", "img"}]
    assert len(loaded) == 2
    assert all(href.startswith("data:image/") for href in loaded)
    assert re.search(r"@import|url\(", html_of(page)) is None


@pytest.mark.parametrize("page", Page)
def test_a_page_is_sent_so_that_nothing_leaks(page: Page) -> None:
    response = respond(page, brand=BRAND)
    assert response.status_code == STATUSES.get(page, 200)
    assert response.headers["Referrer-Policy"] == "same-origin"
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
    assert ("html", {"lang": "en", "dir": "ltr"}) in tags


def test_a_logo_stands_for_the_name_and_says_it() -> None:
    pictures = [attributes for tag, attributes in tags_of(html_of(Page.CLAIM, LOGO)) if tag == "img"]
    assert [(picture["alt"], (picture["src"] or "").partition(",")[0]) for picture in pictures] == [
        (BRAND.name, "data:image/png;base64")
    ]
    assert 'class="monogram"' in html_of(Page.CLAIM)
    assert 'class="monogram"' not in html_of(Page.CLAIM, LOGO)


FACE = msgspec.structs.replace(
    LOGO,
    logo_dark="1",
    dark_picture=png(5, 2),
    banner="2",
    banner_picture=png(9, 2),
    font="slab",
    corner_radius=3,
)


@pytest.mark.parametrize("page", Page)
def test_a_brands_face_is_on_every_page(page: Page) -> None:
    html = html_of(page, FACE)
    shown = [
        attributes.get("src") or attributes.get("srcset") or "" for tag, attributes in tags_of(html) if tag in {"img", "source"}
    ]
    pictures = [base64.b64decode(url.removeprefix("data:image/png;base64,")) for url in shown]
    assert pictures == [FACE.banner_picture, FACE.dark_picture, FACE.picture]
    [dark] = [attributes for tag, attributes in tags_of(html) if tag == "source"]
    assert dark["media"] == "(prefers-color-scheme: dark)"
    assert "--font: Rockwell," in html
    assert "--radius: 3px;" in html
    assert "--radius: 16px;" in html_of(page)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", Page)
def test_a_page_speaks_the_brands_language(page: Page, language: Language) -> None:
    brand = msgspec.structs.replace(BRAND, language=language)
    answer = respond(page, brand=brand, points=1_500, campaign="Herbst")
    direction = "rtl" if language == "ar" else "ltr"
    assert answer.headers["Content-Language"] == language
    assert ("html", {"lang": language, "dir": direction}) in tags_of(answer.content)
    assert "{" not in re.sub(r"<style.*?</style>", "", answer.content, flags=re.DOTALL)
    assert len(answer.content.encode()) < 16_000


def test_a_page_of_no_brand_speaks_what_the_browser_likes() -> None:
    assert '<html lang="it" dir="ltr">' in respond(Page.NOT_FOUND, accept_language="it-IT,it;q=0.9,en;q=0.5").content
    assert "Non troviamo questo link" in respond(Page.NOT_FOUND, accept_language="it").content
    assert '<html lang="en" dir="ltr">' in respond(Page.NOT_FOUND).content
    # The brand knows better than the browser.
    assert '<html lang="en" dir="ltr">' in respond(Page.EXPIRED, brand=BRAND, accept_language="it").content


def test_who_is_nowhere_expected_goes_home() -> None:
    at_home = msgspec.structs.replace(BRAND, home_url="https://shop.example/home")
    ways = [attributes["href"] for tag, attributes in tags_of(respond(Page.EXPIRED, brand=at_home).content) if tag == "a"]
    assert ways == ["https://shop.example/home"]
    known = respond(Page.EXPIRED, brand=at_home, destination="https://shop.example/autumn").content
    assert [attributes["href"] for tag, attributes in tags_of(known) if tag == "a"] == ["https://shop.example/autumn"]
    assert [tag for tag, _ in tags_of(respond(Page.EXPIRED, brand=BRAND).content) if tag == "a"] == []


def test_a_code_asks_for_an_address_and_once_more_for_a_wrong_one() -> None:
    asks = respond(Page.CODE, brand=BRAND, points=5, can_claim=True)
    field = next(attributes for tag, attributes in tags_of(asks.content) if tag == "input")
    assert (field["type"], field["name"], field["autocomplete"]) == ("email", "email", "email")
    again = respond(Page.CODE, brand=BRAND, points=5, can_claim=True, email='"><b>', email_is_wrong=True)
    assert again.status_code == 422
    field = next(attributes for tag, attributes in tags_of(again.content) if tag == "input")
    assert (field["value"], field["aria-invalid"]) == ('"><b>', "true")


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
