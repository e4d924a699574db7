"""A live image shows what a customer has when their message is opened; whatever is wrong, it is an image, and nobody's."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from PIL import Image, ImageChops

from service.brands.brand import Language
from service.customer_pages import live_images
from service.customer_pages.access import OwnPage
from service.pages.brand_colors import contrast, palette, parse
from service.pages.rendering import NEUTRAL_ACCENT
from service.tokens.customer import LIFE_S, CustomerTokenKind
from tests.api_fixtures import BASE_URL, Api
from tests.brands.pictures import png
from tests.links.conftest import Links
from tests.links.customer_pages import own_page
from tests.links.pages.test_visits import claim
from tests.links.wire import Wire

NOBODYS = live_images.draw_nobodys()
BLUEBIRD = live_images.Face("#0f6b5c", "Bluebird Coffee", None, is_right_to_left=False)
LOGO = (Path(__file__).parents[2] / "browser" / "logo.png").read_bytes()


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
    face = live_images.face_of(links.api.brand)
    assert before.content == live_images.draw(face, "0", "Lumens", "2026-11-26 14:32")
    await claim(links, await links.path())
    after = await client.get(path)
    assert after.content == live_images.draw(face, "25", "Lumens", "2026-11-26 14:32")
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
    empty, written = (drawn(BLUEBIRD, *texts) for texts in (("", "", ""), (number, name, "2026-11-26 14:32")))
    box = where_they_differ(empty, written)
    assert box is not None
    left, top, right, bottom = box
    assert left >= 32
    assert right <= written.width - 32
    assert top >= 70, "it touches the brand's name"
    assert bottom <= written.height - 8


def where_they_differ(one: Image.Image, other: Image.Image) -> tuple[int, int, int, int] | None:
    """A box around what is drawn on one of two cards. Of few colours a little differs everywhere."""
    seen = [0] * 41 + [255] * 215
    return ImageChops.difference(one, other).convert("L").point(seen).getbbox()  # pyright: ignore[reportUnknownMemberType]


def drawn(face: live_images.Face, number: str, name: str, as_of: str) -> Image.Image:
    return Image.open(io.BytesIO(live_images.draw(face, number, name, as_of))).convert("RGBA")


def test_it_says_whose_it_is() -> None:
    """By its logo if it has one that can be read, else by its name; at the side where its language begins."""
    with_logo = msgspec.structs.replace(BLUEBIRD, picture=LOGO)
    broken = msgspec.structs.replace(BLUEBIRD, picture=png(3, 2)[:40])
    nameless = msgspec.structs.replace(BLUEBIRD, name="")
    assert drawn(broken, "1", "", "").tobytes() == drawn(BLUEBIRD, "1", "", "").tobytes()
    for face, far in ((BLUEBIRD, 300), (with_logo, 300)):
        for is_right_to_left in (False, True):
            shown, empty = (
                drawn(msgspec.structs.replace(each, is_right_to_left=is_right_to_left), "1", "", "")
                for each in (face, nameless)
            )
            box = where_they_differ(shown, empty)
            assert box is not None
            assert box[0] > far if is_right_to_left else box[2] < far


@pytest.mark.parametrize("accent", ["#0f6b5c", "#ffd400", "#111318", "#888888", "#757575", "#ffffff", "#7a3e1d"])
def test_its_letters_can_be_read_on_all_of_its_ground(accent: str) -> None:
    letters = parse(palette(accent).on_accent)
    empty = drawn(msgspec.structs.replace(BLUEBIRD, accent=accent, name=""), "", "", "")
    grounds = {colour[:3] for _, colour in empty.getcolors() or [] if isinstance(colour, tuple) and colour[3] == 255}
    # Of a grey in the middle no letters reach more than 4.6 to 1.
    assert min(contrast(letters, ground) for ground in grounds if len(ground) == 3) >= 4.4


def test_it_is_small_whatever_the_logo_and_lies_on_any_mail() -> None:
    image = live_images.draw(msgspec.structs.replace(BLUEBIRD, picture=LOGO), "12,610", "Beans", "2026-11-26 14:32")
    assert len(image) < 16_384
    corner, middle = (Image.open(io.BytesIO(image)).convert("RGBA").getpixel(at) for at in ((0, 0), (300, 120)))
    assert isinstance(corner, tuple)
    assert isinstance(middle, tuple)
    assert (corner[3], middle[3]) == (0, 255)


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
