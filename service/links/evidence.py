"""Evidence: whether a request for a link is the customer's act or only somebody looking.

Mail gateways, previews, virus scanners and browsers that read ahead all fetch links. So looking never pays: a link pays on
POST from our own page, which a person has to press (grade B).
"""

from __future__ import annotations

from collections.abc import Mapping

_READ_AHEAD_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_READ_AHEAD_WORDS = ("prefetch", "prerender", "preview", "instant")
_FROM_ELSEWHERE = frozenset({"cross-site", "same-site"})


def reads_ahead(headers: Mapping[str, str]) -> bool:
    """Whether a browser fetches this in case its user might want it."""
    return any(word in headers.get(name, "").lower() for name in _READ_AHEAD_HEADERS for word in _READ_AHEAD_WORDS)


def is_pressed_on_our_page(headers: Mapping[str, str]) -> bool:
    """Whether a POST comes from a page of ours, as far as the browser says.

    A browser that does not send ``Sec-Fetch-Site`` (old ones; all of them on plain http) is believed: a token is needed anyway.
    """
    return headers.get("sec-fetch-site", "").lower() not in _FROM_ELSEWHERE and not reads_ahead(headers)
