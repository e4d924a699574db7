"""Evidence: whether a request for a link is a person's act, or only something looking.

    grade    what a request says by itself, and with what else was fetched at the same time: one verdict

Mail gateways, previews, virus scanners and browsers that read ahead all fetch links. A verdict is ``B`` for a button pressed
on our own page, ``C`` for a GET that looks like a person's, ``D`` for what may be anybody's, and a machine for what says so
or behaves so. A rule is here because something was seen in the world that needs it; the tests name what.

Which programs say what they are is a list that others keep (crawler-user-agents); what it lacks, and links in
messages meet, is here.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping

import crawleruseragents
import msgspec

from ledger import Grade
from service.egress import hosts

SENT_JUST_NOW_S = 10.0
"""Nobody reads a message and follows its link so soon after it was sent; gateways do."""
SIBLINGS_WITHIN_S = 2.0
SIBLINGS_OF_A_MACHINE = 3
"""So many links of one message within ``SIBLINGS_WITHIN_S``, the one in question among them: a scanner follows them all."""
AGENT_CHARACTERS_MAX = 512

_READ_AHEAD_HEADERS = frozenset({"sec-purpose", "purpose", "x-purpose", "x-moz"})
_READ_AHEAD_WORDS = ("prefetch", "prerender", "preview", "instant")
_FROM_HERE = frozenset({"same-origin", "none"})

# Mail clients fetch pictures through these; it is the only sign of an open that they give. The kept list calls them crawlers.
_PICTURE_PROXIES = ("GoogleImageProxy", "YahooMailProxy", "OutlookImageProxy")
_EXACT_MACHINES = frozenset(
    {
        # Apple fetches the pictures of every message when it arrives.
        "Mozilla/5.0",
        # Gmail reads ahead, before anybody opens the message.
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 "
        "Edge/12.246 Mozilla/5.0",
    }
)
# Every browser says so, for the sake of old servers: Mozilla or Opera, its machine in brackets, and the version of what draws
# the page. What is compatible with a browser is none, but Internet Explorer on a known system and Konqueror.
_BROWSER = re.compile(
    r"""(?:Mozilla/[45]\.0|Opera/[0-9.]+|UCWEB/[0-9.]+)\ \(
    (?=.*(?:\b(?:AppleWebKit|Gecko|KHTML|Goanna|Servo|Trident|Presto)/[0-9]|\bUCBrowser/?[0-9]
          |\bMSIE\ [0-9.b]+;.*\b(?:Windows\ (?:NT|CE|9|Phone)|Mac_PowerPC)))
    (?!.*\bcompatible;\ (?!MSIE\ |Konqueror/))""",
    re.DOTALL | re.VERBOSE,
)
# They draw a page as a browser does, or begin as one, and add what they are: nobody looks at what they draw. An address in its
# name is where a robot's owner can be asked.
_NO_BROWSER_NAMES = re.compile(
    r"(?<!cu)bot\b|crawler|spider|headless|jsdom|happydom|htmlunit|wkhtmlto|zombie\.js|phantomjs|cypress/|puppeteer|playwright"
    r"|selenium|webdriver|powershell|web services|webservice|ms-office|msoffice|microsoft outlook|https?://",
    re.IGNORECASE,
)
# Apps and browsers of people, whose names are on the list for the sake of what their servers fetch.
_NAMES_OF_PEOPLES_APPS = re.compile(r" (?:WhatsApp|Viber|SogouMobileBrowser)/[^ ]*")
_GATEWAYS = ("Barracuda", "Proofpoint", "proofpoint", "Mimecast", "mimecast")


class Why(enum.StrEnum):
    """What a verdict rests on. Values are stored and reported."""

    PRESSED = "pressed"
    NOTHING_AGAINST_IT = "nothing_against_it"
    CONFIRMED_BY_SHOP = "confirmed_by_shop"
    SENT_JUST_NOW = "sent_just_now"
    NO_BROWSER = "no_browser"
    PICTURE = "picture"
    PICTURE_PROXY = "picture_proxy"
    PRESSED_ELSEWHERE = "pressed_elsewhere"
    METHOD = "method"
    READ_AHEAD = "read_ahead"
    NO_AGENT = "no_agent"
    MAIL_PREFETCH = "mail_prefetch"
    MAIL_GATEWAY = "mail_gateway"
    DECLARED_MACHINE = "declared_machine"
    SIBLINGS = "siblings"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """How sure we are that a person acted, and why. ``grade`` of ``None`` is a machine: grade ``X``."""

    grade: Grade | None
    why: Why

    @property
    def is_machine(self) -> bool:
        """Whether nothing of it may ever be paid."""
        return self.grade is None

    @property
    def letter(self) -> str:
        """``A`` to ``D``, or ``X``."""
        return "X" if self.grade is None else self.grade.value


_PRESSED = Verdict(Grade.B, Why.PRESSED)
_PRESSED_ELSEWHERE = Verdict(Grade.D, Why.PRESSED_ELSEWHERE)
_NO_BROWSER = Verdict(Grade.D, Why.NO_BROWSER)
_SENT_JUST_NOW = Verdict(Grade.D, Why.SENT_JUST_NOW)
_NOTHING_AGAINST_IT = Verdict(Grade.C, Why.NOTHING_AGAINST_IT)


def grade(method: str, headers: Mapping[str, str], *, since_sent_s: float, siblings: int = 1, picture: bool = False) -> Verdict:
    """Judge one request for a link, or with ``picture`` for the picture in a message.

    ``headers`` have lower-case names. ``since_sent_s`` is how long ago the message was sent (or, where nobody said, the link
    minted). ``siblings`` is how many links of the message were fetched within ``SIBLINGS_WITHIN_S`` before or after, this one
    among them. That is known in full only so much later (``click_log.count_siblings`` counts them): at the time of a request it
    is left at 1, and whoever pays on a GET judges again. The first rule that fits decides: what speaks of a machine comes
    before what speaks of a person.
    """
    if (why := _sign_of_a_machine(method, headers, siblings, picture=picture)) is not None:
        return Verdict(None, why)
    if method == "POST":
        # Nothing that fetches presses buttons, whatever it calls itself; but a page elsewhere may do it in a customer's name.
        return _PRESSED_ELSEWHERE if _is_from_elsewhere(headers) else _PRESSED
    if picture:
        proxied = _is_one_of(_PICTURE_PROXIES, headers.get("user-agent", ""))
        return Verdict(Grade.D, Why.PICTURE_PROXY if proxied else Why.PICTURE)
    if not _is_a_browser(headers.get("user-agent", "")[:AGENT_CHARACTERS_MAX]):
        return _NO_BROWSER
    if since_sent_s < SENT_JUST_NOW_S:
        return _SENT_JUST_NOW
    return _NOTHING_AGAINST_IT


def _sign_of_a_machine(method: str, headers: Mapping[str, str], siblings: int, *, picture: bool) -> Why | None:
    if reads_ahead(headers):
        return Why.READ_AHEAD
    if method == "POST" and not picture:
        return None
    if method != "GET":
        return Why.METHOD
    why = _why_agent_is_a_machine(headers.get("user-agent", "")[:AGENT_CHARACTERS_MAX], picture)
    if why is None and siblings >= SIBLINGS_OF_A_MACHINE:
        return Why.SIBLINGS
    return why


# A look into the list takes half a millisecond, and most requests come from a few hundred programs.
@functools.lru_cache(maxsize=10_000)
def _why_agent_is_a_machine(agent: str, picture: bool) -> Why | None:
    if not agent.strip():
        return Why.NO_AGENT
    if agent in _EXACT_MACHINES:
        return Why.MAIL_PREFETCH
    if picture and _is_one_of(_PICTURE_PROXIES, agent):
        return None
    if _is_one_of(_GATEWAYS, agent):
        return Why.MAIL_GATEWAY
    # An app that shows a page adds its name to a browser's; what fetches for it begins with the name.
    listed = _NAMES_OF_PEOPLES_APPS.sub("", agent) if _BROWSER.match(agent) else agent
    return Why.DECLARED_MACHINE if crawleruseragents.is_crawler(listed) else None


@functools.lru_cache(maxsize=10_000)
def _is_a_browser(agent: str) -> bool:
    return _BROWSER.match(agent) is not None and _NO_BROWSER_NAMES.search(agent) is None


def _is_one_of(names: tuple[str, ...], agent: str) -> bool:
    return any(name in agent for name in names)


def reads_ahead(headers: Mapping[str, str]) -> bool:
    """Whether a browser fetches this in case its user might want it."""
    # Hardly any request has one of them, and all are looked at.
    if _READ_AHEAD_HEADERS.isdisjoint(headers):
        return False
    said = [headers[name].lower() for name in _READ_AHEAD_HEADERS if name in headers]
    return any(word in each for each in said for word in _READ_AHEAD_WORDS)


def is_pressed_on_our_page(headers: Mapping[str, str]) -> bool:
    """Whether a POST comes from a page of ours, by what the browser says. Programs say nothing and are believed."""
    return not _is_from_elsewhere(headers) and not reads_ahead(headers)


def _is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """``Sec-Fetch-Site`` says whose page pressed. Old browsers, and all on plain http, say it by ``Origin``, or by ``Referer``.

    Our pages are sent with ``Referrer-Policy: same-origin``, so that a form of theirs never has the origin ``null``.
    """
    if site := headers.get("sec-fetch-site"):
        return site.strip().lower() not in _FROM_HERE
    page = headers.get("origin", headers.get("referer") or None)
    return page is not None and not _is_same_host(page, headers.get("host", ""))


def _is_same_host(page: str, host: str) -> bool:
    """Whether an origin or a page's address is of the host that was asked.

    A proxy may have ended TLS in front of us, so the scheme does not count.
    """
    scheme, _, rest = page.partition("://")
    named = rest.partition("/")[0]
    asked = hosts.requested(host)
    return scheme in {"http", "https"} and bool(asked) and hosts.requested(named) == asked
