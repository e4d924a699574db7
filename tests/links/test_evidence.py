"""Who looks, looks; who presses the button on our page, acts."""

from __future__ import annotations

import pytest

from service.links.evidence import SIBLINGS_OF_A_MACHINE, Why, grade, is_pressed_on_our_page, reads_ahead
from tests.links.fetchers import APPLE, CHROME_ON_WINDOWS, FETCHERS, GMAIL_AHEAD, GMAIL_PROXY, PHONE, Fetcher

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


GRADES: list[tuple[str, str, dict[str, str], float, int, str, Why]] = [
    ("she follows it on her phone", "GET", {"user-agent": PHONE}, 3600, 1, "C", Why.NOTHING_AGAINST_IT),
    ("she presses the button", "POST", {"user-agent": PHONE, "sec-fetch-site": "same-origin"}, 3600, 1, "B", Why.PRESSED),
    ("she is quick with the button", "POST", {"user-agent": PHONE}, 1, 9, "B", Why.PRESSED),
    ("another page does it in her name", "POST", {"sec-fetch-site": "cross-site"}, 60, 1, "D", Why.PRESSED_ELSEWHERE),
    ("a moment after it was sent", "GET", {"user-agent": PHONE}, 9.9, 1, "D", Why.SENT_JUST_NOW),
    ("before it was sent", "GET", {"user-agent": PHONE}, -60, 1, "D", Why.SENT_JUST_NOW),
    ("ten seconds after it was sent", "GET", {"user-agent": PHONE}, 10, 1, "C", Why.NOTHING_AGAINST_IT),
    ("two links at once", "GET", {"user-agent": PHONE}, 60, 2, "C", Why.NOTHING_AGAINST_IT),
    ("three links at once", "GET", {"user-agent": PHONE}, 60, 3, "X", Why.SIBLINGS),
    ("three links a moment after", "GET", {"user-agent": CHROME_ON_WINDOWS}, 1, 3, "X", Why.SIBLINGS),
    ("a browser reads ahead", "GET", {"user-agent": PHONE, "sec-purpose": "prefetch"}, 3600, 1, "X", Why.READ_AHEAD),
    ("a browser renders ahead", "POST", {"sec-purpose": "prefetch;prerender"}, 3600, 1, "X", Why.READ_AHEAD),
    ("only the head", "HEAD", {"user-agent": PHONE}, 3600, 1, "X", Why.METHOD),
    ("no name", "GET", {}, 3600, 1, "X", Why.NO_AGENT),
    ("an empty name", "GET", {"user-agent": " "}, 3600, 1, "X", Why.NO_AGENT),
    ("Apple's prefetch", "GET", {"user-agent": APPLE}, 3600, 1, "X", Why.MAIL_PREFETCH),
    ("Gmail's prefetch", "GET", {"user-agent": GMAIL_AHEAD}, 3600, 1, "X", Why.MAIL_PREFETCH),
    ("Gmail's proxy follows a link", "GET", {"user-agent": GMAIL_PROXY}, 3600, 1, "X", Why.DECLARED_MACHINE),
]


@pytest.mark.parametrize(("method", "headers", "since_sent_s", "siblings", "letter", "why"), [row[1:] for row in GRADES])
def test_a_request_is_judged_by_what_it_shows(
    method: str, headers: dict[str, str], since_sent_s: float, siblings: int, letter: str, why: Why
) -> None:
    verdict = grade(method, headers, since_sent_s=since_sent_s, siblings=siblings)
    assert (verdict.letter, verdict.why) == (letter, why)


@pytest.mark.parametrize(
    ("agent", "letter", "why"),
    [
        (PHONE, "D", Why.PICTURE),
        (GMAIL_PROXY, "D", Why.PICTURE_PROXY),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "D", Why.PICTURE_PROXY),
        (APPLE, "X", Why.MAIL_PREFETCH),
        (GMAIL_AHEAD, "X", Why.MAIL_PREFETCH),
        ("", "X", Why.NO_AGENT),
        ("Slack-ImgProxy (+https://api.slack.com/robots)", "X", Why.DECLARED_MACHINE),
    ],
)
def test_a_picture_is_never_more_than_an_open(agent: str, letter: str, why: Why) -> None:
    verdict = grade("GET", {"user-agent": agent}, since_sent_s=3600, picture=True)
    assert (verdict.letter, verdict.why) == (letter, why)


@pytest.mark.parametrize("fetcher", FETCHERS, ids=lambda fetcher: fetcher.name)
def test_each_known_fetcher_is_told_from_a_person(fetcher: Fetcher) -> None:
    verdict = grade(fetcher.method, fetcher.headers, since_sent_s=fetcher.since_sent_s, siblings=fetcher.siblings)
    assert verdict.is_machine or verdict.letter == "D", verdict


PEOPLE = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "[FBAN/FBIOS;FBAV/468.0.0.0]",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) AppleWebKit/537.36 Version/4.0 Chrome/125.0.0.0 Mobile [FB_IAB]",
    # A make of telephones whose name has "bot" in it.
    "Mozilla/5.0 (Linux; Android 10; CUBOT P40) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    CHROME_ON_WINDOWS,
    PHONE,
]


@pytest.mark.parametrize("agent", PEOPLE)
def test_what_people_use_is_no_machine(agent: str) -> None:
    assert grade("GET", {"user-agent": agent}, since_sent_s=60).letter == "C"


def test_a_lone_scanner_with_a_browsers_name_is_not_known_by_its_headers() -> None:
    # Later than ten seconds, and following one link alone, it looks like her. So pages do not pay for looking.
    assert grade("GET", {"user-agent": CHROME_ON_WINDOWS}, since_sent_s=60, siblings=SIBLINGS_OF_A_MACHINE - 1).letter == "C"
