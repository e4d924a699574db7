"""Who looks, looks; who presses the button on our page, acts."""

from __future__ import annotations

import pytest

from service.evidence.bot_detection import SIBLINGS_OF_A_MACHINE, Why, grade, is_pressed_on_our_page, reads_ahead
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
        ({"sec-fetch-site": "something new"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "https://r.shop.example", "host": "r.shop.example"}, False),
        # Old browsers, and all of them on plain http, send the origin alone.
        ({"origin": "https://r.shop.example", "host": "r.shop.example"}, True),
        ({"origin": "https://r.shop.example", "host": "R.SHOP.example.:443".lower()}, True),
        ({"origin": "http://r.shop.example", "host": "r.shop.example"}, True),
        ({"origin": "http://127.0.0.1:8080", "host": "127.0.0.1:8080"}, True),
        ({"origin": "http://[::1]:8080", "host": "[::1]:8080"}, True),
        ({"origin": "https://elsewhere.example", "host": "r.shop.example"}, False),
        ({"origin": "https://r.shop.example.elsewhere.example", "host": "r.shop.example"}, False),
        ({"origin": "https://shop.example", "host": "r.shop.example"}, False),
        ({"origin": "http://127.0.0.1:9090", "host": "127.0.0.1:8080"}, False),
        ({"origin": "https://r.shop.example:8443", "host": "r.shop.example"}, False),
        ({"origin": "null", "host": "r.shop.example"}, False),
        ({"origin": "", "host": "r.shop.example"}, False),
        ({"origin": "https://r.shop.example:port", "host": "r.shop.example"}, False),
        ({"origin": "file://", "host": "r.shop.example"}, False),
        ({"origin": "chrome-extension://r.shop.example", "host": "r.shop.example"}, False),
        ({"origin": "https://r.shop.example"}, False),
        # Older ones send no origin with a form, but say which page they were on.
        ({"referer": "https://r.shop.example/r/x.y.z", "host": "r.shop.example"}, True),
        ({"referer": "https://elsewhere.example/r/x", "host": "r.shop.example"}, False),
        ({"referer": "https://elsewhere.example/?https://r.shop.example", "host": "r.shop.example"}, False),
        ({"referer": "https://r.shop.example@elsewhere.example/", "host": "r.shop.example"}, False),
        ({"referer": "", "host": "r.shop.example"}, True),
        ({"origin": "https://r.shop.example", "referer": "https://elsewhere.example/", "host": "r.shop.example"}, True),
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
    ("a runtime with its own name", "GET", {"user-agent": "Java/17.0.9"}, 3600, 1, "D", Why.NO_BROWSER),
    ("a name nobody knows", "GET", {"user-agent": "Frobnicator/1.0"}, 3600, 1, "D", Why.NO_BROWSER),
    ("a name nobody knows, just sent", "GET", {"user-agent": "Frobnicator/1.0"}, 1, 1, "D", Why.NO_BROWSER),
    ("half of a browser's name", "GET", {"user-agent": "Mozilla/5.0 (Linux)"}, 3600, 1, "D", Why.NO_BROWSER),
    ("a browser's name in a sentence", "GET", {"user-agent": f"Not {PHONE}"}, 3600, 1, "D", Why.NO_BROWSER),
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


NO_BROWSERS = [
    "Dart/2.19 (dart:io)",
    "Ruby",
    "PHP/8.1",
    "node",
    "undici",
    "PostmanRuntime/7.36",
    "Outlook-iOS/2.0",
    "x" * 10_000,
    "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.3031",
    "Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.19045; en-US) PowerShell/7.3.4",
    "Mozilla/4.0 (Windows 10 10.0) Java/1.8.0_181",
    "Mozilla/4.0 (compatible; MSIE 6.0; MS Web Services Client Protocol 4.0.30319.42000)",
    "Mozilla/4.0 (compatible; MSIE 8.0; Win32)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C; .NET4.0E; ms-office; MSOffice 16)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/7.0; Microsoft Outlook 16.0.5134; ms-office; MSOffice 16)",
    "Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/22.1.0",
    "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) HappyDOM/9.20.3",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/534.34 (KHTML, like Gecko) wkhtmltopdf Safari/534.34",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 HtmlUnit/2.9",
    "Mozilla/5.0 (compatible; foo; KHTML)",
    "Mozilla/5.0 (compatible; myfetcher/1.0; like Gecko)",
    "Mozilla/5.0 (thing Gecko)",
    "Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 (+https://fetch.example/about)",
    "Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 unheardofbot",
]
IN_AN_APP = (
    "Mozilla/5.0 (Linux; Android 13; SM-S908B Build/TP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/114.0 "
    "Mobile Safari/537.36"
)
BROWSERS = [
    PHONE,
    CHROME_ON_WINDOWS,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
    "Opera/9.80 (Android; Opera Mini/12.0/34.2; U; en) Presto/2.8.119 Version/11.10",
    "Mozilla/5.0 (Linux; Android 14; SM-S911B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0 "
    "Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram",
    f"{IN_AN_APP} WhatsApp/2.23.10.76 W",
    f"{IN_AN_APP} Viber/20.1",
    f"{IN_AN_APP} SogouMobileBrowser/6.1",
    f"{IN_AN_APP} trill_290105 JsSdk/1.0 NetType/WIFI Channel/googleplay AppName/musical_ly BytedanceWebview/d8a21c6",
    "UCWEB/2.0 (MIDP-2.0; U; Adr 9; en-US; SM-J600G) U2/1.0.0 UCBrowser/10.7.9.856 U2/1.0.0 Mobile",
    "Mozilla/5.0 (Java; U; en-us; nokia200) UCBrowser9.5.0.449/70/352/UCWEB Mobile",
    "Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Goanna/6.2 PaleMoon/32.2",
    "Mozilla/5.0 (Mobile; LYF/F320B/LYF-F320B-001-01-15-130718-i;Android; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
    "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows Phone 8.0; Trident/6.0; IEMobile/10.0; ARM; Touch; NOKIA; Lumia 920)",
    "Mozilla/5.0 (compatible; Konqueror/4.5; Linux) KHTML/4.5.4 (like Gecko)",
]


@pytest.mark.parametrize("agent", NO_BROWSERS)
def test_what_does_not_present_itself_as_a_browser_may_be_anybody(agent: str) -> None:
    verdict = grade("GET", {"user-agent": agent}, since_sent_s=3600)
    assert (verdict.letter, verdict.why) == ("D", Why.NO_BROWSER)


@pytest.mark.parametrize("agent", BROWSERS)
def test_browsers_are_told_from_other_programs(agent: str) -> None:
    assert grade("GET", {"user-agent": agent}, since_sent_s=3600).why is Why.NOTHING_AGAINST_IT
