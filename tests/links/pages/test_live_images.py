"""A live image shows what a customer has when their message is opened; whatever is wrong, it is an image, and nobody's."""

from __future__ import annotations

import io
from typing import Any

import httpx
import msgspec
import pytest
from PIL import Image

from service.brands.brand import Language
from service.customer_pages import live_images
from service.customer_pages.access import OwnPage
from service.pages.brand_colors import palette
from service.pages.rendering import NEUTRAL_ACCENT
from service.tokens.customer import LIFE_S, CustomerTokenKind
from tests.api_fixtures import BASE_URL, Api
from tests.links.conftest import Links
from tests.links.customer_pages import own_page
from tests.links.pages.test_visits import claim
from tests.links.wire import Wire

NOBODYS = live_images.draw_nobodys()


async def live(api: Api, customer: str = "C-1001", **changed: Any) -> str:
    """The path of a new live image."""
    item = {"customer": {"id": customer}, "kind": "live", "message_id": "newsletter-0412", **changed}
    answer = await api.client("messaging").post("/v1/page-links", json={"pages": [item]})
    [result] = answer.raise_for_status().json()["results"]
    assert result["status"] == 201, result
    return result["url"].removeprefix(BASE_URL)


def colours(picture: bytes) -> tuple[tuple[int, int], set[str]]:
    """A picture's size, and the colours in it."""
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    image.load()
    seen = image.convert("RGB").getcolors(2**24)
    assert seen is not None
    return image.size, {"#" + bytes(colour).hex() for _, colour in seen if isinstance(colour, tuple)}


def is_neutral(answer: httpx.Response) -> bool:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    return answer.content == NOBODYS


@pytest.fixture(autouse=True)
def at_one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pictures say that they are of the same minute: two differ by what is drawn."""

    def minute(page: OwnPage) -> str:
        return "2026-11-26 14:32"

    monkeypatch.setattr(live_images, "_minute", minute)


async def test_it_shows_what_she_has_when_it_is_opened(links: Links) -> None:
    path = await live(links.api)
    client = links.api.client(None)
    before = await client.get(path)
    assert (before.status_code, before.headers["content-type"]) == (200, "image/png")
    assert before.content == live_images.draw(links.api.brand.accent_color, "0", "Lumens", "2026-11-26 14:32")
    await claim(links, await links.path())
    after = await client.get(path)
    assert after.content == live_images.draw(links.api.brand.accent_color, "25", "Lumens", "2026-11-26 14:32")
    assert after.headers["etag"] != before.headers["etag"]
    again = await client.get(path, headers={"If-None-Match": after.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (200, after.content, after.headers["etag"])
    assert await links.balance() == 25


async def test_it_is_drawn_in_the_brands_colours_at_twice_its_size(links: Links) -> None:
    size, seen = colours((await links.api.client(None).get(await live(links.api))).content)
    accent = links.api.brand.accent_color
    assert size == (600, 240)
    assert {accent, palette(accent).on_accent} <= seen
    size, seen = colours(NOBODYS)
    assert size == (600, 240)
    assert {NEUTRAL_ACCENT, "#ffffff"} <= seen


async def test_it_is_asked_for_each_time_and_shown_anywhere(links: Links) -> None:
    path = await live(links.api)
    for each in (path, "/live/hello.png"):
        headers = (await links.api.client(None).get(each)).headers
        assert headers["cache-control"] == "no-cache, no-store, must-revalidate, max-age=0"
        assert (headers["pragma"], headers["expires"]) == ("no-cache", "0")
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        head = await links.api.client(None).head(each)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", headers["content-length"])


async def test_what_opens_nothing_is_nobodys_picture(links: Links) -> None:
    api = links.api
    path = await live(api)
    assert not is_neutral(await api.client(None).get(path))
    own = {kind: own_page(api, kind).rpartition("/")[2] for kind in CustomerTokenKind}
    for token in (
        "hello",
        path.removeprefix("/live/").removesuffix(".png")[:-2],
        own[CustomerTokenKind.WALLET],
        own[CustomerTokenKind.PREFERENCES],
        own_page(api, CustomerTokenKind.LIVE_IMAGE, customer=999).rpartition("/")[2],
        own_page(api, CustomerTokenKind.LIVE_IMAGE, brand="nobody").rpartition("/")[2],
        own_page(api, CustomerTokenKind.LIVE_IMAGE, age_s=LIFE_S[CustomerTokenKind.LIVE_IMAGE] + 1).rpartition("/")[2],
        (await links.path()).removeprefix("/r/"),
    ):
        assert is_neutral(await api.client(None).get(f"/live/{token}.png")), token


async def test_who_wants_no_rewards_is_shown_none(links: Links) -> None:
    path = await live(links.api)
    assert not is_neutral(await links.api.client(None).get(path))
    refusal = {"status": "refused", "source": "call"}
    (await links.api.client("messaging").put("/v1/customers/C-1001/consents/rewards", json=refusal)).raise_for_status()
    assert is_neutral(await links.api.client(None).get(path))


async def test_it_is_taken_back_with_its_message(links: Links) -> None:
    path, other = await live(links.api), await live(links.api, message_id="newsletter-0413")
    revoked = await links.api.client("messaging").post("/v1/link-revocations", json={"message_id": "newsletter-0412"})
    assert is_neutral(await links.api.client(None).get(path))
    assert not is_neutral(await links.api.client(None).get(other))
    await links.api.client("admin").delete(f"/v1/link-revocations/{revoked.json()['id']}")
    assert not is_neutral(await links.api.client(None).get(path))


async def test_there_is_a_picture_while_the_database_is_away(wired: tuple[Links, Wire]) -> None:
    links, wire = wired
    path = await live(links.api)
    assert not is_neutral(await links.api.client(None).get(path))
    wire.cut()
    assert is_neutral(await links.api.client(None).get(path))
    wire.mend()


async def test_there_is_a_picture_when_drawing_fails(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await live(links.api)

    def fails(*_: object) -> bytes:
        raise ValueError

    monkeypatch.setattr(live_images, "draw", fails)
    assert is_neutral(await links.api.client(None).get(path))


@pytest.mark.parametrize(
    ("number", "name"), [("0", "Points"), ("9,223,372,036,854,775,807", "P" * 100), ("1 234 567", ""), ("12", "W" * 40)]
)
def test_whatever_is_drawn_fits(number: str, name: str) -> None:
    image = Image.open(io.BytesIO(live_images.draw("#0f6b5c", number, name, "2026-11-26 14:32"))).convert("RGB")
    paper: Any = image.getpixel((0, 0))
    written = [x for x in range(image.width) for y in range(image.height) if image.getpixel((x, y)) != paper]
    assert min(written) >= 8
    assert max(written) < image.width - 8


@pytest.mark.parametrize(
    ("language", "points_name", "written"),
    [
        ("en", "Beans", ("12,610", "Beans")),
        ("de", "Punkte", ("12.610", "Punkte")),
        ("fr", "Pépins", ("12 610", "")),
        ("ar", "نقاط", ("12,610", "")),
    ],
)
def test_a_number_is_written_as_in_the_brands_language_and_a_name_that_cannot_be_is_left_out(
    api: Api, language: Language, points_name: str, written: tuple[str, str]
) -> None:
    brand = msgspec.structs.replace(api.brand, language=language, points_name=points_name)
    assert live_images.written(brand, 12_610) == written
