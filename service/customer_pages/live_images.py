"""Live images: what a customer has, drawn when a message is opened.

    show     GET of an image: the balance now, or an image without one
    face_of  how a brand is recognized in it
    written  a balance as an image says it
    draw     the image

What shows a message keeps the image, or its error: so there is always an image, of the same size, and where nothing can be
shown it is the same one whatever the reason. Fetching it pays nothing and leaves no click: it is fetched by everything that
shows mail, some of it before the customer does. It says as of when it is, because what has fetched it may show it later.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from PIL import Image, ImageDraw, ImageFont

from service.brands.brand import Brand
from service.customer_pages.access import NotShown, OwnPage, open_page
from service.customers import actions as customers
from service.customers.opt_outs import ALL, has_refused
from service.link_pages import lookup
from service.link_pages.lookup import Visitor
from service.observability import log
from service.pages.brand_colors import TEXT_CONTRAST, Rgb, contrast, mix, palette, parse
from service.pages.images import image_headers
from service.pages.rendering import NEUTRAL_ACCENT, Answer, words_for
from service.tokens.customer import CustomerTokenKind

if TYPE_CHECKING:
    from service.services import Services

SIZE = (600, 240)
"""In pixels: twice the size in a message, for high-density screens."""

_WIDTH, _HEIGHT = SIZE
_MARGIN, _CORNER = 36, 28
_LOGO = (200, 48)
_KEPT = 1_000
"""How many images are cached, of some ten kilobytes each: many customers have the same balance and open a mail at once."""
_CARDS_KEPT = 100
_COLOURS = 96
_OPAQUE = 250
_OFF_MAX = 8
_FINER = 4
"""Shapes are drawn so many times as large, because Pillow does not smooth their edges."""


async def show(services: Services, token: str, visitor: Visitor) -> Answer:
    """Draw what the customer of a token has, or an image of nobody's."""
    try:
        with lookup.in_time(services):
            image = await _image(services, token, visitor)
    except (NotShown, lookup.Unavailable):
        image = draw_nobodys()
    except Exception as error:
        log.error_with_frames("live_image_failed", error)
        image = draw_nobodys()
    etag = f'"{blake2b(image, digest_size=16).hexdigest()}"'
    return Answer(200, "", {**image_headers("image/png"), "ETag": etag}, image)


async def _image(services: Services, token: str, visitor: Visitor) -> bytes:
    page = await open_page(services, token, CustomerTokenKind.LIVE_IMAGE, visitor.headers, now=visitor.at)
    if has_refused(page.known.refused, ALL, page.now):
        return draw_nobodys()
    _, has = await customers.look(services, page.brand, page.known)
    number, name = written(page.brand, has.spendable)
    # Drawing takes some milliseconds, in which others would wait.
    return await asyncio.to_thread(draw, face_of(page.brand), number, name, _minute(page))


class Face(msgspec.Struct, frozen=True):
    """How a brand is recognized: by its logo, or else by its name where the font can write it."""

    accent: str
    name: str
    picture: bytes | None
    is_right_to_left: bool


def face_of(brand: Brand) -> Face:
    """How a brand is recognized in an image."""
    name = brand.name if brand.name.isascii() else ""
    return Face(brand.accent_color, name, brand.picture, words_for(brand).direction == "rtl")


def written(brand: Brand, balance: int) -> tuple[str, str]:
    """How many, as the brand's language writes it, and of what. The font has ASCII alone: other names are left out."""
    number = "".join(letter if letter.isascii() else " " for letter in words_for(brand).number(balance))
    return number, brand.points_name if brand.points_name.isascii() else ""


def _minute(page: OwnPage) -> str:
    # As ISO 8601 writes it, which is read alike in every language.
    return f"{page.brand.calendar.local(page.now):%Y-%m-%d %H:%M}"


@functools.lru_cache(maxsize=_KEPT)
def draw(face: Face, number: str, name: str, as_of: str) -> bytes:
    """The image of a balance as a PNG; the texts are ASCII."""
    image = _card(face).copy()
    letters = palette(face.accent).on_accent
    _write(image, face, number, letters, middle=136, size=88, room=_WIDTH - 2 * _MARGIN)
    _write(image, face, name, letters, middle=203, size=34, room=300)
    _write(image, face, as_of, letters, middle=206, size=20, room=200, at_end=True)
    return _png(image, letters, face.accent)


@functools.cache
def draw_nobodys() -> bytes:
    """The image that says nothing about anybody."""
    image = _ground(NEUTRAL_ACCENT, is_mirrored=False).copy()
    pen = ImageDraw.Draw(image)
    for aside in (-48, 0, 48):
        pen.circle((_WIDTH / 2 + aside, _HEIGHT / 2), 10, fill="#ffffff")
    return _png(image, "#ffffff", NEUTRAL_ACCENT)


@functools.lru_cache(maxsize=_CARDS_KEPT)
def _card(face: Face) -> Image.Image:
    """What all of a brand's images share: its ground, and its logo or name."""
    card = _ground(face.accent, is_mirrored=face.is_right_to_left).copy()
    logo = None if face.picture is None else _logo(face.picture)
    if logo is None:
        _write(card, face, face.name, palette(face.accent).on_accent, middle=54, size=32, room=_WIDTH - 2 * _MARGIN)
        return card
    # Whatever ink it is drawn in, it was drawn for a light page.
    tile = _smooth((logo.width + 28, logo.height + 20), radius=14, fill="#ffffff")
    tile.alpha_composite(logo, (14, 10))
    card.alpha_composite(tile, (_WIDTH - _MARGIN - tile.width if face.is_right_to_left else _MARGIN, 54 - tile.height // 2))
    return card


def _logo(picture: bytes) -> Image.Image | None:
    """A logo in the size it is shown in; ``None`` if it cannot be read, of which only the first bytes were checked."""
    with contextlib.suppress(Exception), Image.open(io.BytesIO(picture), formats=("PNG", "JPEG", "WEBP")) as opened:
        logo = opened.convert("RGBA")
        logo.thumbnail(_LOGO, Image.Resampling.LANCZOS)
        return logo
    return None


@functools.lru_cache(maxsize=_CARDS_KEPT)
def _ground(accent: str, *, is_mirrored: bool) -> Image.Image:
    """A card in the brand's colour with the rim of a coin at its end, and nothing at its corners."""
    coin = _shade(accent)
    large = Image.new("RGBA", (_WIDTH * _FINER, _HEIGHT * _FINER), accent)
    pen = ImageDraw.Draw(large)
    middle = ((_WIDTH - 70) * _FINER, 84 * _FINER)
    pen.circle(middle, 138 * _FINER, fill=coin)
    pen.circle(middle, 112 * _FINER, outline=accent, width=4 * _FINER)
    ground = large.resize(SIZE, Image.Resampling.BOX)  # pyright: ignore[reportUnknownMemberType]
    if is_mirrored:
        ground = ground.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    ground.putalpha(_smooth(SIZE, radius=_CORNER, fill="#ffffff").getchannel("A"))
    return ground


def _shade(accent: str) -> str:
    """A shade beside the accent on which the same letters can be read."""
    paper, letters = parse(accent), parse(palette(accent).on_accent)
    nearer = mix(paper, letters, 0.12)
    away = mix(paper, (0, 0, 0) if sum(letters) > sum(paper) else (255, 255, 255), 0.16)
    return "#" + bytes(nearer if contrast(nearer, letters) >= TEXT_CONTRAST else away).hex()


def _smooth(size: tuple[int, int], *, radius: int, fill: str) -> Image.Image:
    large = Image.new("RGBA", (size[0] * _FINER, size[1] * _FINER))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), radius * _FINER, fill=fill)
    return large.resize(size, Image.Resampling.BOX)  # pyright: ignore[reportUnknownMemberType]


def _write(
    image: Image.Image, face: Face, text: str, colour: str, *, middle: int, size: float, room: int, at_end: bool = False
) -> None:
    """Write a line at the start of the card, or at its end."""
    is_right = at_end is not face.is_right_to_left
    place = (_WIDTH - _MARGIN if is_right else _MARGIN, middle)
    font = _font(text, size, room)
    ImageDraw.Draw(image).text(place, text, fill=colour, font=font, anchor="rm" if is_right else "lm")


def _font(text: str, size: float, room: int) -> ImageFont.FreeTypeFont:
    """The font in which a text is so high, or less if it would not fit."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font.font_variant(size=size * min(1.0, room / max(1.0, font.getlength(text))))


def _png(image: Image.Image, *exact: str) -> bytes:
    """An image as a PNG of few colours: a quarter of the size, and of the time it takes to pack. Some are kept ``exact``."""
    few = image.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.putpalette(_mended(few.getpalette("RGBA") or [], [parse(colour) for colour in exact]), "RGBA")
    png = io.BytesIO()
    few.save(png, "PNG")
    return png.getvalue()


def _mended(shades: list[int], exact: Sequence[Rgb]) -> list[int]:
    """A palette without what an octree does to it: colours that are a little off, and opaque ones a little less so."""
    colours = [tuple(shades[at : at + 4]) for at in range(0, len(shades), 4)]
    opaque = [at for at, colour in enumerate(colours) if colour[3] > _OPAQUE]
    for at in opaque:
        colours[at] = (*colours[at][:3], 255)
    for wanted in exact:
        off, nearest = min((max(abs(a - b) for a, b in zip(colours[at], wanted, strict=False)), at) for at in opaque)
        if off <= _OFF_MAX:
            colours[nearest] = (*wanted, 255)
    return [channel for colour in colours for channel in colour]
