"""The normal form in which hosts are compared.

    normal_name    a host name or address, as browsers read it (WHATWG URL, 3.5), in lower-case ASCII
    read_host      the same beside its port, for who connects there
    normal_host    the same with its port, as a `Host` header or an entry of a list says it
    host_of        the host that a URL leads to
    is_near        whether a host is this machine or in its own network
    is_one_of      whether a host, however written, is in a list of normal ones
    is_same_place  whether two hosts lead to one server, as far as their names say

A host is `name` or `name:port`. The ports 80 and 443 are left out, whatever the scheme: behind a proxy nobody knows which
scheme a visitor used, and two brands on one name must be one host for us.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection

import idna

NAME_CHARACTERS_MAX = 253
PORT_MAX = 65_535

_DEFAULT_PORTS = frozenset({80, 443})
_HEADER_CHARACTERS_MAX = 300
# An underscore is no part of a host name (RFC 1123), and in many that browsers go to.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_AUTHORITY = re.compile(r"(?P<name>\[[^\[\]@/\\?#]*\]|[^\[\]:@/\\?#]*)(?::(?P<port>[0-9]{0,6}))?")
_LOOPBACK_NAME = "localhost"


class HostRefused(ValueError):
    """This is not a host; the message says why."""


def normal_name(text: str) -> str:
    """A host name or address without a port, in the one form that is compared. Raises ``HostRefused``.

    International names become A-labels (UTS #46, IDNA 2008), addresses are written in full (``127.1`` and ``0x7f.1`` are
    ``127.0.0.1``), an IPv4 address inside an IPv6 one is that IPv4 address, and a trailing dot goes.
    """
    if text.startswith("["):
        return _normal_ipv6(text)
    if len(text) > NAME_CHARACTERS_MAX + 1 and text.isascii():
        raise HostRefused(f"has a host name longer than {NAME_CHARACTERS_MAX} characters")
    try:
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise HostRefused("has a host name that is not valid") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > NAME_CHARACTERS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise HostRefused("has a host name that is not valid")
    # Browsers take a name whose last label is a number for an IPv4 address, and refuse it if it is none.
    return _normal_ipv4(labels) if _NUMBER.fullmatch(labels[-1]) else name


def read_host(text: str) -> tuple[str, int | None]:
    """The normal name of a host, and the port that it says, usual or not. Raises ``HostRefused``."""
    parts = _AUTHORITY.fullmatch(text)
    if parts is None:
        raise HostRefused("is not a host name")
    name = normal_name(parts["name"])
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and not 0 < port <= PORT_MAX:
        raise HostRefused("has a port that is not between 1 and 65535")
    return name, port


def normal_host(text: str) -> str:
    """A host with its port, if it says one that is not the usual, in the one form that is compared. Raises ``HostRefused``."""
    name, port = read_host(text)
    return name if port is None or port in _DEFAULT_PORTS else f"{name}:{port}"


def requested(header: str) -> str:
    """The host that a ``Host`` header names; empty for what is none, which is nobody's."""
    # Looked at before it is remembered: a visitor chooses how long it is, and how many there are.
    return _remembered(header) if len(header) <= _HEADER_CHARACTERS_MAX else ""


@functools.lru_cache(maxsize=4_096)
def _remembered(header: str) -> str:
    try:
        return normal_host(header.strip())
    except HostRefused:
        return ""


@functools.lru_cache(maxsize=4_096)
def host_of(url: str) -> str:
    """The host that a URL leads to, which was checked before. Raises ``HostRefused``."""
    return normal_host(re.split(r"[/\\?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2])


def name_and_port(host: str) -> tuple[str, int | None]:
    """The name and the port of a host in its normal form."""
    name, _, port = host.rpartition(":") if not host.endswith("]") else ("", "", "")
    return (name, int(port)) if name else (host, None)


def is_loopback(name: str) -> bool:
    """Whether a normal name is this machine itself, or a name that never leaves it (RFC 6761)."""
    return _is_machine_itself(name) or name.endswith(f".{_LOOPBACK_NAME}")


def is_near(name: str) -> bool:
    """Whether a normal name is this machine, or an address that only its neighbours reach, such as 192.168.1.5."""
    if is_loopback(name):
        return True
    return is_address(name) and not ipaddress.ip_address(name.strip("[]")).is_global


def is_address(name: str) -> bool:
    """Whether a normal name is an IP address."""
    return name.startswith("[") or _NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def is_one_of(host: str, hosts: Collection[str]) -> bool:
    """Whether a host, as somebody wrote it, is one of ``hosts``, which are in their normal form."""
    return bool(host) and (host in hosts or (bool(normal := requested(host)) and normal in hosts))


def place_of(host: str) -> str:
    """What of a normal host can be one owner's: its name, and on this machine its port too."""
    name, _ = name_and_port(host)
    return host if is_loopback(name) else name


@functools.lru_cache(maxsize=4_096)
def is_same_place(host: str, others: frozenset[str]) -> bool:
    """Whether a normal host is that of one of ``others``.

    A name is one place whatever the port: who proves a name proves all of it. On this machine it is the port that tells servers
    apart, and ``localhost``, ``127.0.0.1`` and ``[::1]`` are one.
    """
    name, port = name_and_port(host)
    for other in others:
        other_name, other_port = name_and_port(other)
        if _is_machine_itself(name) and _is_machine_itself(other_name):
            if port == other_port:
                return True
        elif name == other_name and (not is_loopback(name) or port == other_port):
            return True
    return False


def _is_machine_itself(name: str) -> bool:
    if name == _LOOPBACK_NAME:
        return True
    if not is_address(name):
        return False
    address = ipaddress.ip_address(name.strip("[]"))
    return address.is_loopback or address.is_unspecified


def _normal_ipv6(text: str) -> str:
    try:
        if not text.endswith("]") or "%" in text:
            raise HostRefused("has an address that is not valid")
        address = ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        raise HostRefused("has an address that is not valid") from None
    mapped = address.ipv4_mapped
    return f"[{address.compressed}]" if mapped is None else str(mapped)


def _normal_ipv4(labels: list[str]) -> str:
    """An IPv4 address of one to four numbers, the last of which fills what is left (WHATWG URL, 3.5)."""
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) for label in labels):
        raise HostRefused("has an address that is not valid")
    try:
        *first, last = (_number(label) for label in labels)
    except ValueError:
        raise HostRefused("has an address that is not valid") from None
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        raise HostRefused("has an address that is not valid")
    return str(ipaddress.IPv4Address(sum(number << 8 * (3 - n) for n, number in enumerate(first)) + last))


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)
