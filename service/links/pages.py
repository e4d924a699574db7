"""The pages a customer sees: what each says, with which status, and how it is sent.

`Page` says which there are. Every page is one HTML document without JavaScript, cookies or anything loaded from elsewhere;
its style is inside it, so that it is one request and looks right while all else is away. Texts are in `_WORDING`.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service import log
from service.brands.brand import Brand
from service.brands.destinations import shown_host
from service.links.brand_colors import palette
from service.problems import problem_of

NEUTRAL_ACCENT = "#3f4754"


class Page(enum.StrEnum):
    """What can be said to a customer who followed a link. Values are kept in receipts."""

    CLAIM = "claim"
    CLAIM_HERE = "claim_here"
    CLAIMED = "claimed"
    ALREADY_CLAIMED = "already_claimed"
    WAITING = "waiting"
    HELD_BACK = "held_back"
    CAP_REACHED = "cap_reached"
    BUDGET_EXHAUSTED = "budget_exhausted"
    NOT_STARTED = "not_started"
    OVER = "over"
    PAUSED = "paused"
    NOTHING_TO_EARN = "nothing_to_earn"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NOT_FOUND = "not_found"
    BUSY = "busy"


class _Wording(msgspec.Struct, frozen=True):
    status: int
    mark: str
    title: str
    headline: str
    text: str
    footnote: str = "Each link earns once, for the person it was sent to."


_WORDING: Mapping[Page, _Wording] = {
    Page.CLAIM: _Wording(
        200,
        "coin",
        "{points} {unit} for you",
        "{points} {unit} for you",
        "A thank-you from {brand} for “{campaign}”. One tap adds them to your balance.",
        "No sign-in, no cookies. Each link earns once, for the person it was sent to.",
    ),
    Page.CLAIM_HERE: _Wording(
        403,
        "coin",
        "{points} {unit} for you",
        "Please tap the button here",
        "Another page asked for your {unit} in your name. They are only added when you ask for them yourself.",
    ),
    Page.CLAIMED: _Wording(
        200, "check", "{points} {unit} added", "{points} {unit} added", "Thank you! They are in your balance now."
    ),
    Page.ALREADY_CLAIMED: _Wording(
        200,
        "check",
        "You already have these",
        "You already have these",
        "This link has paid you its {points} {unit} before. Look out for the next one.",
    ),
    Page.WAITING: _Wording(
        200,
        "clock",
        "Almost there",
        "Almost there",
        "{brand} has noted your visit. Your {unit} follow as soon as it has been confirmed.",
    ),
    Page.HELD_BACK: _Wording(
        200,
        "clock",
        "{points} {unit} on their way",
        "{points} {unit} on their way",
        "Thank you! {brand} will have a look first. Your {unit} follow as soon as it has.",
    ),
    Page.CAP_REACHED: _Wording(
        200,
        "sparkle",
        "That is all for now",
        "That is all for now",
        "You have earned as many {unit} as “{campaign}” gives for now. What you have earned is yours.",
    ),
    Page.BUDGET_EXHAUSTED: _Wording(
        200,
        "sparkle",
        "All given away",
        "All given away",
        "Every one of the {unit} set aside for “{campaign}” has found an owner. There will be more to come.",
    ),
    Page.NOT_STARTED: _Wording(
        200, "clock", "A little early", "A little early", "“{campaign}” has not begun yet. Keep this link: it will work then."
    ),
    Page.OVER: _Wording(
        200,
        "clock",
        "This offer has ended",
        "This offer has ended",
        "“{campaign}” is over, so this link no longer earns {unit}. What you have earned before is yours.",
    ),
    Page.PAUSED: _Wording(
        200,
        "clock",
        "A short break",
        "A short break",
        "“{campaign}” is paused at the moment. Keep this link: it earns its {unit} when it goes on.",
    ),
    Page.NOTHING_TO_EARN: _Wording(
        200,
        "sparkle",
        "Nothing to earn just now",
        "Nothing to earn just now",
        "This link does not earn {unit} at the moment. What you have earned before is yours.",
    ),
    Page.EXPIRED: _Wording(
        410,
        "clock",
        "This link has expired",
        "This link has expired",
        "Links from {brand} earn {unit} for a limited time, and this one’s is up. What you have earned before is yours.",
    ),
    Page.REVOKED: _Wording(
        410,
        "clock",
        "This link was withdrawn",
        "This link was withdrawn",
        "{brand} has taken this link back, so it no longer earns {unit}. What you have earned before is yours.",
    ),
    Page.NOT_FOUND: _Wording(
        404,
        "link",
        "We cannot find this link",
        "We cannot find this link",
        "It may have been cut short on its way. Please open it again from the message it came in, or copy all of it.",
        "If it still does not work, whoever sent it to you can send a new one.",
    ),
    Page.BUSY: _Wording(
        503,
        "cloud",
        "Please try again in a moment",
        "Please try again in a moment",
        "We could not look up your link just now. It keeps its worth: open it again a little later.",
    ),
}
_WITH_POINTS = frozenset({"coin", "check"})


class _Said(msgspec.Struct, frozen=True):
    """A page's words with everything filled in."""

    title: str
    headline: str
    text: str
    footnote: str
    mark: str
    points: int
    balance: int | None
    can_claim: bool
    button: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a browser is sent."""

    status_code: int
    content: str
    headers: dict[str, str]


def number(value: int) -> str:
    """A whole number as people write it."""
    return f"{value:,}"


def _digits(value: int) -> str:
    return "few" if value < 1_000 else "some" if value < 1_000_000 else "many"


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"number": number, "digits": _digits, "shown_host": shown_host}
_template = _environment.get_template("page.html")


def respond(
    page: Page,
    *,
    brand: Brand | None = None,
    campaign: str = "this offer",
    points: int = 0,
    balance: int | None = None,
    destination: str | None = None,
    can_claim: bool = False,
) -> Answer:
    """Say ``page`` in the brand's name and colours. Without a brand nothing is said about whose link it was."""
    wording = _WORDING[page]
    names = {
        "brand": brand.name if brand else "",
        "unit": brand.points_name if brand else "points",
        "campaign": campaign,
        "points": number(points),
    }
    said = _Said(
        title=wording.title.format_map(names) + (f" · {brand.name}" if brand else ""),
        headline=wording.headline.format_map(names),
        text=wording.text.format_map(names),
        footnote=wording.footnote,
        # A decision of nought points has no coin to show.
        mark="sparkle" if wording.mark in _WITH_POINTS and not points else wording.mark,
        points=points,
        balance=balance,
        can_claim=can_claim,
        button=f"Add {names['points']} {names['unit']}",
    )
    nonce = secrets.token_urlsafe(16)
    html = _template.render(
        page=said,
        brand=brand,
        colors=palette(brand.accent_color if brand else NEUTRAL_ACCENT),
        destination=destination if brand else None,
        # What a messenger shows of the link in a conversation: the same for everybody, and nothing of its state.
        preview_title=f"A thank-you from {brand.name}" if brand else "A reward link",
        preview_text=f"Open it to collect your {names['unit']}.",
        nonce=nonce,
    )
    headers = {"Content-Type": "text/html; charset=utf-8", **security_headers(nonce)}
    if wording.status == 503:
        headers["Retry-After"] = "5"
    return Answer(wording.status, html, headers)


def redirect(path: str) -> Answer:
    """Send the browser on to a page of ours."""
    return Answer(303, "", {"Location": path, **security_headers("none")})


def page_of_error(error: Exception) -> Answer:
    """Say to a person what the API would say as a problem."""
    problem = problem_of(error)
    if problem.code == "internal_error":
        log.error_with_frames("link_failed", error)
    return respond(Page.BUSY if problem.status >= 500 else Page.NOT_FOUND)


def security_headers(nonce: str) -> dict[str, str]:
    """What every page is sent with: nothing is kept, indexed, framed, run, loaded or told to where it leads."""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
    }
