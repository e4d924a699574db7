"""Customer pages about an invented customer, with a brand as somebody would like it to look.

    preview   one page of `Previewed`

Nothing on a preview can be pressed: it is sandboxed, leads nowhere, and may be framed by this service's own pages alone.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from service.brands.brand import Brand
from service.brands.goals import progress
from service.code_batches.displays import ShownCode, display_page
from service.customer_pages import live_images
from service.customers.schemas import LotResponse
from service.http.pagination import Page as PageOf
from service.link_pages.pages import Page, respond
from service.pages.rendering import Answer, environment, render, words_for
from service.preferences.pages import preferences_page
from service.preferences.schemas import ChannelResponse, PreferencesResponse
from service.wallet.pages import Line, drawn_wallet
from service.wallet.schemas import Money, WalletResponse

Previewed = Literal[
    "claim", "claimed", "already_claimed", "code", "code_claimed", "code_taken", "held_back", "over", "expired", "not_found",
    "display", "wallet", "preferences", "live_image",
]  # fmt: skip
"""A page that can be seen before its face is saved."""
Theme = Literal["light", "dark"]

POINTS, BALANCE = 25, 610
_DAY = date(2026, 12, 1)
_DARK = "(prefers-color-scheme: dark)"
_THEMES: Mapping[Theme, str] = {"light": "not all", "dark": "all"}

_templates = environment(Path(__file__).parent / "templates")


def preview(brand: Brand, page: Previewed, theme: Theme | None) -> Answer:
    """A page of ``brand``, whose pictures are with it; in one theme, or in whichever the browser prefers."""
    draw = _OWN.get(page)
    answer = _of_link(brand, Page(page)) if draw is None else draw(brand)
    headers = {name: value for name, value in answer.headers.items() if name not in {"Refresh", "Retry-After"}}
    policy = headers["Content-Security-Policy"].replace("frame-ancestors 'none'", "frame-ancestors 'self'; sandbox")
    headers |= {"Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"}
    content = answer.content if theme is None else answer.content.replace(_DARK, _THEMES[theme])
    return Answer(200, content, headers)


def _of_link(brand: Brand, page: Page) -> Answer:
    return respond(
        page,
        brand=brand,
        campaign="Hello again",
        points=POINTS,
        balance=BALANCE if page is Page.CLAIMED else None,
        destination=brand.home_url or "https://shop.example/",
        can_claim=page in {Page.CLAIM, Page.CODE},
        of_code=page in {Page.CODE, Page.CODE_CLAIMED, Page.CODE_TAKEN},
    )


def _display(brand: Brand) -> Answer:
    return display_page(brand, ShownCode("https://rewards.example/MZXW6YTBOI4GC2LT", 24, 30), points=POINTS)


def _wallet(brand: Brand) -> Answer:
    words = words_for(brand)
    wallet = WalletResponse(
        customer="cus_1",
        points_name=brand.points_name,
        balance=BALANCE,
        held=0,
        pending=40,
        worth=None if brand.point_value is None else Money(brand.point_value.worth(BALANCE), brand.currency),
        lots=[LotResponse(430, _DAY + timedelta(days=90), "engagement"), LotResponse(180, None, "engagement")],
        progress=progress(BALANCE, brand.goals),
        history=PageOf(items=[], next=None),
        balance_seq=1,
    )
    lines = [
        Line("Hello again", words.say("entry.grant"), POINTS, _DAY),
        Line(words.say("wallet.order", ref="1042"), words.say("wallet.order_used", points="60"), -60, _DAY - timedelta(days=3)),
    ]
    return drawn_wallet(brand, wallet, lines, is_newest=True, preferences_url="/preferences/example")


def _preferences(brand: Brand) -> Answer:
    channels = [ChannelResponse("email", "granted"), ChannelResponse("sms", "unsaid")]
    return preferences_page(
        brand, PreferencesResponse(channels=channels, frequency="weekly", rewards=True, reward=POINTS, answered_at=None)
    )


def _live_image(brand: Brand) -> Answer:
    png = live_images.draw(live_images.face_of(brand), *live_images.written(brand, BALANCE), f"{_DAY} 09:30")
    picture = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    words = words_for(brand)
    return render(_templates, "live.html", brand=brand, words=words, title=words.say("common.balance"), picture=picture)


_OWN: Mapping[str, Callable[[Brand], Answer]] = {
    "display": _display,
    "wallet": _wallet,
    "preferences": _preferences,
    "live_image": _live_image,
}
