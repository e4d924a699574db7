"""Live images: what a customer has, drawn when a message is opened.

    show     GET of an image: the balance now, or an image without one
    written  a balance as an image says it
    draw     the image

What shows a message keeps the image, or its error: so there is always an image, of the same size, and where nothing can be
shown it is the same one whatever the reason. Fetching it pays nothing and leaves no click: it is fetched by everything that
shows mail, some of it before the customer does. It says as of when it is, because what has fetched it may show it later.
"""

from __future__ import annotations

import asyncio
import functools
import io
from hashlib import blake2b
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from service.brands.brand import Brand
from service.customer_pages.access import NotShown, OwnPage, open_page
from service.customers import actions as customers
from service.customers.opt_outs import ALL, has_refused
from service.link_pages import lookup
from service.link_pages.lookup import Visitor
from service.observability import log
from service.pages.brand_colors import palette
from service.pages.images import image_headers
from service.pages.rendering import NEUTRAL_ACCENT, Answer, words_for
from service.tokens.customer import CustomerTokenKind

if TYPE_CHECKING:
    from service.services import Services

SIZE = (600, 240)
"""In pixels: twice the size in a message, for high-density screens."""

_WIDTH, _MIDDLE, _MARGIN = SIZE[0], SIZE[0] / 2, 32
_KEPT = 1_000
"""How many images are cached, of some five kilobytes each: many customers have the same balance and open a mail at once."""


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
    return await asyncio.to_thread(draw, page.brand.accent_color, number, name, _minute(page))


def written(brand: Brand, balance: int) -> tuple[str, str]:
    """How many, as the brand's language writes it, and of what. The font has ASCII alone: other names are left out."""
    number = "".join(letter if letter.isascii() else " " for letter in words_for(brand).number(balance))
    return number, brand.points_name if brand.points_name.isascii() else ""


def _minute(page: OwnPage) -> str:
    # As ISO 8601 writes it, which is read alike in every language.
    return f"{page.brand.calendar.local(page.now):%Y-%m-%d %H:%M}"


@functools.lru_cache(maxsize=_KEPT)
def draw(accent: str, number: str, name: str, as_of: str) -> bytes:
    """The image of a balance as a PNG; ``accent`` is ``#rrggbb``, and the texts are ASCII."""
    ink = Image.new("L", SIZE)
    pen = ImageDraw.Draw(ink)
    for text, middle, size in ((number, 84 if name else 104, 92), (name, 162, 36), (as_of, 208, 22)):
        pen.text((_MIDDLE, middle), text, fill=255, font=_font(text, size), anchor="mm")
    return _png(ink, accent)


@functools.cache
def draw_nobodys() -> bytes:
    """The image that says nothing about anybody."""
    ink = Image.new("L", SIZE)
    pen = ImageDraw.Draw(ink)
    for aside in (-48, 0, 48):
        pen.circle((_MIDDLE + aside, SIZE[1] / 2), 10, fill=255)
    return _png(ink, NEUTRAL_ACCENT)


def _font(text: str, size: float) -> ImageFont.FreeTypeFont:
    """The font in which a text is so high, or less if it would not fit."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font.font_variant(size=size * min(1.0, (_WIDTH - 2 * _MARGIN) / max(1.0, font.getlength(text))))


def _png(ink: Image.Image, accent: str) -> bytes:
    """How much ink is where, as a PNG in colours that can be read."""
    paper, letters = (bytes.fromhex(colour.removeprefix("#")) for colour in (accent, palette(accent).on_accent))
    shades = [
        round(light + (dark - light) * share / 255) for share in range(256) for light, dark in zip(paper, letters, strict=True)
    ]
    ink.putpalette(shades)
    png = io.BytesIO()
    ink.save(png, "PNG")
    return png.getvalue()
