"""Who looks, looks; who presses the button on our page, acts."""

from __future__ import annotations

import pytest

from service.links.evidence import is_pressed_on_our_page, reads_ahead

READING_AHEAD = [
    {"sec-purpose": "prefetch"},
    {"sec-purpose": "prefetch;prerender"},
    {"purpose": "prefetch"},
    {"x-purpose": "preview"},
    {"x-moz": "prefetch"},
]


@pytest.mark.parametrize("headers", READING_AHEAD)
def test_reading_ahead_is_not_acting(headers: dict[str, str]) -> None:
    assert reads_ahead(headers)
    assert not is_pressed_on_our_page({"sec-fetch-site": "same-origin", **headers})


@pytest.mark.parametrize(
    ("headers", "is_pressed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_a_form_on_another_site_is_not_our_page(headers: dict[str, str], is_pressed: bool) -> None:
    assert is_pressed_on_our_page(headers) is is_pressed
