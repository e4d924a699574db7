"""Where a brand's links may lead: destinations; and what they begin with.

A link never carries its destination: it carries the number of one that was checked when it was minted. So there is no open
redirect to abuse. A destination is an ``https`` URL on a host the brand has named; a test brand may also use plain
``http`` on the machine's own loopback address, and on an address of its network that it has named.

Hosts are compared in their one normal form (see ``hosts``), and the URL is kept with the host so compared: what a browser goes
to is what was allowed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from urllib.parse import SplitResult, quote, unquote_plus, urlsplit, urlunsplit

import idna

from service.egress import hosts
from service.egress.hosts import HostRefused

URL_CHARACTERS_MAX = 2_048
CLAIM_PARAMETER = "rewards_claim"
"""What a handoff adds to the query of a destination."""
_CLAIM_NAME = re.compile(r"\s*rewards[_.\s\[]claim(?:\[.*)?[\s\0]*", re.IGNORECASE | re.DOTALL)
# Browsers turn a backslash into a slash and drop tabs and line ends, so a URL with one means two things.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f-\xa0\\<>\"^`{|}\u2028\u2029\ufeff\ud800-\udfff]")
_UNRESERVED_AND_RESERVED = "%:/?#[]@!$&'()*+,;=-._~"


class DestinationRefused(ValueError):
    """This URL may not be a destination; the message says why, for the one who minted the link."""


def normal_form(url: str, *, allowed_hosts: Collection[str], loopback_allowed: bool) -> str:
    """Check a destination and give it in the form that is kept and compared.

    ``allowed_hosts`` are the brand's, each ``host`` or ``host:port``. Raises ``DestinationRefused``.
    """
    parts, host, port = _read(url, loopback_allowed=loopback_allowed)
    is_ours = hosts.is_loopback(host) and loopback_allowed
    if not is_ours and _with_port(host, port) not in {normal_entry(entry) for entry in allowed_hosts}:
        raise DestinationRefused(f"leads to {_with_port(host, port)}, which is not one of the brand's destination hosts")
    if any(map(brings_claim, parts.query.split("&"))):
        raise DestinationRefused(f"has a parameter {CLAIM_PARAMETER}, which a handoff adds itself")
    normal = urlunsplit(
        (
            parts.scheme,
            _location(parts.scheme, host, port),
            quote(parts.path or "/", safe=_UNRESERVED_AND_RESERVED),
            quote(parts.query, safe=_UNRESERVED_AND_RESERVED),
            quote(parts.fragment, safe=_UNRESERVED_AND_RESERVED),
        )
    )
    if len(normal) > URL_CHARACTERS_MAX:
        raise DestinationRefused(f"is longer than {URL_CHARACTERS_MAX} characters once written in ASCII")
    return normal


def brings_claim(part: str) -> bool:
    """Whether a part of a query between two `&` sets the parameter of a claim, for whatever reads it on the way.

    A page's script compares names exactly (URL Standard, application/x-www-form-urlencoded); but some servers part at `;` too,
    take no notice of case, or read `rewards.claim` and `rewards_claim[]` as the name.
    """
    names = (unquote_plus(each.partition("=")[0]) for each in part.split(";"))
    return any(_CLAIM_NAME.fullmatch(name) is not None for name in names)


def normal_origin(url: str, *, loopback_allowed: bool) -> str:
    """Check what a brand's links shall begin with, a scheme and a host alone. Raises ``DestinationRefused``."""
    parts, host, port = _read(url, loopback_allowed=loopback_allowed)
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        raise DestinationRefused("must be a scheme and a host alone, as in https://r.shop.example")
    return f"{parts.scheme}://{_location(parts.scheme, host, port)}"


def _read(url: str, *, loopback_allowed: bool) -> tuple[SplitResult, str, int | None]:
    """The parts of a URL that a browser reads as we do, its host in the form that is compared, and its port."""
    if len(url) > URL_CHARACTERS_MAX:
        raise DestinationRefused(f"is longer than {URL_CHARACTERS_MAX} characters")
    if _AMBIGUOUS.search(url):
        raise DestinationRefused("holds spaces, control characters or others that a URL may not hold")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DestinationRefused("is not a URL") from None
    if port == 0:
        raise DestinationRefused("has a port that is not between 1 and 65535")
    if parts.scheme not in {"http", "https"} or not url.lower().startswith(f"{parts.scheme}://"):
        raise DestinationRefused("must begin with https://")
    if "@" in parts.netloc:
        raise DestinationRefused("may not hold a user name or password")
    try:
        host = hosts.normal_name(f"[{parts.hostname}]" if parts.netloc.startswith("[") else parts.hostname or "")
    except HostRefused as refused:
        raise DestinationRefused(str(refused)) from None
    if parts.scheme != "https" and not (hosts.is_near(host) and loopback_allowed):
        raise DestinationRefused("must begin with https://")
    return parts, host, port


def _location(scheme: str, host: str, port: int | None) -> str:
    default_port = 443 if scheme == "https" else 80
    return host if port in {None, default_port} else f"{host}:{port}"


def shown_host(url: str) -> str:
    """The host as a customer knows it: without the port that goes without saying, and without ``www.``."""
    host = urlsplit(url).netloc.removeprefix("www.")
    try:
        return idna.decode(host) if "xn--" in host else host
    except idna.IDNAError:
        return host


@functools.lru_cache(maxsize=4_096)
def normal_entry(entry: str) -> str:
    """An entry of a list of destination hosts, in the form that is kept and compared. Raises ``DestinationRefused``."""
    try:
        # A destination begins with https, so 80 is a port of its own there.
        return _with_port(*hosts.read_host(entry))
    except HostRefused as refused:
        raise DestinationRefused(str(refused)) from None


def _with_port(host: str, port: int | None) -> str:
    return host if port in {None, 443} else f"{host}:{port}"
