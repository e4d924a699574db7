"""How a page is made and sent.

    render         fill in a template with a brand's words, colours and logo
    redirect       send the browser on to a page of ours
    Answer         what a browser is sent

Every page is one HTML document without JavaScript, cookies or anything loaded from elsewhere; style and logo are inside it, so
that it is one request and looks right while all else is away.
"""

from __future__ import annotations

import base64
import functools
import secrets
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from service.brands import logos
from service.brands.brand import CORNER_RADIUS, Brand
from service.brands.destinations import shown_host
from service.pages.brand_colors import palette
from service.pages.fonts import STACKS
from service.pages.words import Words, words_of

NEUTRAL_ACCENT = "#3f4754"

_SHARED = Path(__file__).parent / "templates"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a browser is sent: text, or ``data`` in its place."""

    status_code: int
    content: str
    headers: dict[str, str]
    data: bytes | None = None


def environment(own_templates: Path) -> Environment:
    """Where a capability's templates are found, beside those that all share."""
    made = Environment(
        loader=FileSystemLoader([own_templates, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Templates are part of the program: nobody looks for newer ones at each page.
        auto_reload=False,
    )
    made.filters |= {"shown_host": shown_host, "digits": _digits}
    return made


def words_for(brand: Brand | None) -> Words:
    """The words of a brand's language; English where there is none."""
    return words_of(brand.language if brand else "en")


def render(
    templates: Environment,
    name: str,
    *,
    brand: Brand | None,
    words: Words,
    title: str,
    status: int = 200,
    **content: Any,
) -> Answer:
    """Make a page of the template ``name`` in the brand's colours; without a brand nothing is said about whose it is."""
    nonce = secrets.token_urlsafe(16)
    html = templates.get_template(name).render(
        brand=brand,
        logo=_url_of(brand.picture) if brand and brand.picture else None,
        dark_logo=_url_of(brand.dark_picture) if brand and brand.dark_picture else None,
        banner=_url_of(brand.banner_picture) if brand and brand.banner_picture else None,
        font=STACKS[brand.font if brand else "system"],
        corner_radius=brand.corner_radius if brand else CORNER_RADIUS,
        words=words,
        title=f"{title} · {brand.name}" if brand else title,
        unit=brand.points_name if brand else words.say("common.points"),
        colors=palette(brand.accent_color if brand else NEUTRAL_ACCENT),
        nonce=nonce,
        **content,
    )
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Language": words.language, **security_headers(nonce)}
    if status in {429, 503}:
        headers["Retry-After"] = "5"
    return Answer(status, html, headers)


def redirect(path: str) -> Answer:
    """Send the browser on to a page of ours."""
    return Answer(303, "", {"Location": path, **HEADERS_OF_NO_PAGE})


HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
"""What every page is sent with beside its policy: nothing is kept, indexed, framed or told to where it leads.

Its own forms say where they come from: with ``no-referrer`` their ``Origin`` would be ``null``, as a stranger's may be.
"""


def security_headers(nonce: str) -> dict[str, str]:
    """What a customer's page is sent with: nothing is run, and nothing loaded."""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, **HEADERS}


HEADERS_OF_NO_PAGE = security_headers("none") | {"Referrer-Policy": "no-referrer"}
"""Of an answer that shows nothing."""


@functools.lru_cache(maxsize=128)
def _url_of(picture: bytes) -> Markup:
    """A URL that holds a picture: letters that mean nothing in HTML, so they need not be looked at again for each page."""
    return Markup(f"data:{logos.media_type(picture)};base64,{base64.b64encode(picture).decode()}")  # noqa: S704


def _digits(value: int) -> str:
    return "few" if value < 1_000 else "some" if value < 1_000_000 else "many"
