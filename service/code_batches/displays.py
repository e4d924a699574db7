"""The page of a display: a rotating code with the brand, what it earns, and how long it is good.

It is for a screen that nobody touches. The browser asks for the next code by itself when it is time, without JavaScript, and so
goes on after a campaign's pause. While the database is away it shows the code alone, which depends on nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from service.brands.brand import Brand
from service.code_batches.claims import FoundCode, find, offer_of
from service.code_batches.qr_codes import qr_code
from service.http.problems import not_found
from service.link_pages.lookup import Visitor
from service.link_pages.pages import Answer, Page, respond
from service.pages.rendering import environment, render, words_for
from service.tokens import rotating_code

if TYPE_CHECKING:
    from service.services import Services

AGAIN_S = 60
"""After so many seconds a display asks again whether a campaign goes on."""
COUNTED_S_MAX = 120
"""Only so few seconds are counted down in figures; a longer time is a bar."""

_templates = environment(Path(__file__).parent / "templates")


class ShownCode(msgspec.Struct, frozen=True):
    """What a display shows: the code of the moment, where it leads, and for how long it is the newest."""

    url: str
    remaining_s: int
    rotates_every_s: int

    @property
    def typed(self) -> str:
        """The address as somebody types it: host, and the code in groups."""
        address = urlsplit(self.url)
        code = address.path.removeprefix("/")
        return f"{address.netloc}/{'-'.join(code[at : at + 4] for at in range(0, len(code), 4))}"


async def show(services: Services, name: str, visitor: Visitor) -> Answer:
    """The page of the rotating code that ``name`` was sealed for."""
    rotating = rotating_code.unseal_name(name, services.token_keys.rotating_codes)
    key = services.token_keys.codes.get(rotating.kid) if rotating else None
    if rotating is None or key is None:
        raise not_found("display")
    code = rotating_code.code_at(rotating, visitor.at, key)
    found = await find(services, code, visitor)
    if isinstance(found, Answer):
        return _again_in(AGAIN_S, found)
    shown = ShownCode(
        f"{services.link_hosts.base_url_at(visitor.headers)}/{code}",
        rotating_code.shown_for_s(rotating, visitor.at),
        rotating.rotates_every_s,
    )
    if found is None:
        return display_page(services.link_hosts.brand_at(visitor.headers), shown, points=0)
    return await _of_brand(services, found, shown)


async def _of_brand(services: Services, found: FoundCode, shown: ShownCode) -> Answer:
    page, campaign, points = await offer_of(services, found)
    if page is Page.CODE:
        return display_page(found.brand, shown, points=points)
    name = None if campaign is None else campaign.name
    return _again_in(AGAIN_S, respond(page, brand=found.brand, campaign=name, points=points, of_code=True))


def display_page(brand: Brand | None, shown: ShownCode, *, points: int) -> Answer:
    """The page; it says nothing of points that nobody knows."""
    words = words_for(brand)
    unit = brand.points_name if brand else words.say("common.points")
    headline = "display.headline" if points else "display.headline_away"
    names = {"points": words.number(points), "unit": unit} if points else {"unit": unit}
    answer = render(
        _templates,
        "display.html",
        brand=brand,
        words=words,
        title=words.say("display.title"),
        headline=words.say(headline, **names),
        picture=qr_code(shown.url).svg_data_uri(scale=10),
        shown=shown,
        is_counted=shown.rotates_every_s <= COUNTED_S_MAX,
    )
    return _again_in(shown.remaining_s, answer)


def _again_in(seconds: int, answer: Answer) -> Answer:
    answer.headers["Refresh"] = str(seconds)
    return answer
