"""The pages a customer sees of a link: which there are, with which status and sign. What each says is in the texts."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path

import msgspec

from service.brands.brand import Brand
from service.brands.goals import progress
from service.http.problems import problem_of
from service.observability import log
from service.pages.rendering import Answer, environment, redirect, render, words_for
from service.pages.words import best_language, words_of

__all__ = ["Answer", "Page", "page_of_error", "redirect", "respond"]


class Page(enum.StrEnum):
    """What can be said to a customer who followed a link. Values are kept in receipts, and name the texts."""

    CLAIM = "claim"
    CLAIM_AWAY = "claim_away"
    CLAIM_HERE = "claim_here"
    CODE = "code"
    CLAIMED = "claimed"
    CODE_CLAIMED = "code_claimed"
    ALREADY_CLAIMED = "already_claimed"
    OFFER_CLAIMED = "offer_claimed"
    OFFER_LAPSED = "offer_lapsed"
    CODE_TAKEN = "code_taken"
    CODE_MOVED_ON = "code_moved_on"
    WAITING = "waiting"
    HELD_BACK = "held_back"
    POINTS_FOLLOW = "points_follow"
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
    TOO_MANY_GUESSES = "too_many_guesses"
    PAGE_EXPIRED = "page_expired"
    PREFERENCES_SAVED = "preferences_saved"
    PREFERENCES_REWARDED = "preferences_rewarded"


class _Look(msgspec.Struct, frozen=True):
    status: int
    mark: str


_LOOKS: Mapping[Page, _Look] = {
    Page.CLAIM: _Look(200, "coin"),
    Page.CLAIM_AWAY: _Look(200, "sparkle"),
    Page.CLAIM_HERE: _Look(403, "coin"),
    Page.CODE: _Look(200, "coin"),
    Page.CLAIMED: _Look(200, "check"),
    Page.CODE_CLAIMED: _Look(200, "check"),
    Page.ALREADY_CLAIMED: _Look(200, "check"),
    Page.OFFER_CLAIMED: _Look(200, "sparkle"),
    Page.OFFER_LAPSED: _Look(200, "clock"),
    Page.CODE_TAKEN: _Look(410, "ticket"),
    Page.CODE_MOVED_ON: _Look(410, "turn"),
    Page.WAITING: _Look(200, "clock"),
    Page.HELD_BACK: _Look(200, "clock"),
    Page.POINTS_FOLLOW: _Look(200, "clock"),
    Page.CAP_REACHED: _Look(200, "sparkle"),
    Page.BUDGET_EXHAUSTED: _Look(200, "sparkle"),
    Page.NOT_STARTED: _Look(200, "clock"),
    Page.OVER: _Look(200, "clock"),
    Page.PAUSED: _Look(200, "clock"),
    Page.NOTHING_TO_EARN: _Look(200, "sparkle"),
    Page.EXPIRED: _Look(410, "clock"),
    Page.REVOKED: _Look(410, "closed"),
    Page.NOT_FOUND: _Look(404, "link"),
    Page.BUSY: _Look(503, "cloud"),
    Page.TOO_MANY_GUESSES: _Look(429, "cloud"),
    Page.PAGE_EXPIRED: _Look(410, "clock"),
    Page.PREFERENCES_SAVED: _Look(200, "done"),
    Page.PREFERENCES_REWARDED: _Look(200, "check"),
}
_WITH_POINTS = frozenset({"coin", "check"})

_templates = environment(Path(__file__).parent / "templates")


def respond(
    page: Page,
    *,
    brand: Brand | None = None,
    campaign: str | None = None,
    points: int = 0,
    balance: int | None = None,
    destination: str | None = None,
    can_claim: bool = False,
    of_code: bool = False,
    accept_language: str = "",
    email: str = "",
    email_is_wrong: bool = False,
) -> Answer:
    """Say ``page`` in the brand's name, language and colours, with the way on: to ``destination``, or else to its home.

    Without a brand nothing is said about whose link it was, in the language that the browser likes best. ``Page.CODE`` asks for
    an email, and with ``email_is_wrong`` once more. ``of_code``: a printed code led here, no link. Whoever sees their balance
    is told what they can do with it.
    """
    words = words_for(brand) if brand else words_of(best_language(accept_language))
    look = _LOOKS[page]
    names = {
        "brand": brand.name if brand else "",
        "unit": brand.points_name if brand else words.say("common.points"),
        "campaign": campaign or words.say("common.this_offer"),
        "points": words.number(points),
    }
    footnote = f"{page}.footnote" if words.has(f"{page}.footnote") else "common.footnote_code" if of_code else "common.footnote"
    headline = words.say(f"{page}.headline", **names)
    return render(
        _templates,
        "link.html",
        brand=brand,
        words=words,
        title=headline,
        status=422 if email_is_wrong else look.status,
        # A decision of nought points has no coin to show.
        mark="sparkle" if look.mark in _WITH_POINTS and not points else look.mark,
        headline=headline,
        text=words.say(f"{page}.text", **names),
        footnote=words.say(footnote, **names),
        points=points,
        balance=balance,
        goals=None if balance is None or brand is None else progress(balance, brand.goals),
        destination=(destination or brand.home_url) if brand else None,
        can_claim=can_claim,
        button=words.say("common.add" if points else "claim_away.button", **names),
        asks_email=page is Page.CODE,
        email=email,
        email_is_wrong=email_is_wrong,
    )


def page_of_error(error: Exception) -> Answer:
    """Say to a person what the API would say as a problem."""
    problem = problem_of(error)
    if problem.code == "internal_error":
        log.error_with_frames("link_failed", error)
    return respond(Page.BUSY if problem.status >= 500 else Page.NOT_FOUND)
