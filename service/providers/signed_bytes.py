"""The bytes that a signature covers, piece by piece, and the places where a request says something about itself.

Each piece gives its bytes, or None if the request has no such thing: nothing is signed then.
"""

from __future__ import annotations

import base64
import enum
import hashlib
from typing import Any, TypeAlias, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from service.providers.forms import form_of
from service.providers.reading import Unreadable, json_of
from service.providers.types import ProviderRequest

_PORTS = {"https": 443, "http": 80}


def raw(text: str) -> bytes:
    """The bytes of a header, which came as Latin-1."""
    return text.encode("latin-1", "replace")


class Text(msgspec.Struct, frozen=True):
    """A constant."""

    value: str

    def read(self, request: ProviderRequest) -> bytes | None:
        """Its bytes, whatever the request."""
        return self.value.encode()


class Header(msgspec.Struct, frozen=True):
    """A header, by its name in lower case."""

    name: str

    def read(self, request: ProviderRequest) -> bytes | None:
        """Its value, without the blanks around it."""
        value = request.headers.get(self.name)
        return None if value is None else raw(value).strip()


class Query(msgspec.Struct, frozen=True):
    """A parameter of the URL."""

    name: str

    def read(self, request: ProviderRequest) -> bytes | None:
        """Its first value."""
        query = _split(request.url).query
        return next((value.encode(errors="replace") for name, value in _pairs(query) if name == self.name), None)


class JsonField(msgspec.Struct, frozen=True):
    """A text or number in a JSON body."""

    path: tuple[str, ...]

    def read(self, request: ProviderRequest) -> bytes | None:
        """Its value, as text."""
        try:
            value = json_of(request.body)
        except Unreadable:
            return None
        for name in self.path:
            value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
        whole = isinstance(value, str | int) and not isinstance(value, bool)
        return str(value).encode(errors="replace") if whole else None


class JsonBase64(msgspec.Struct, frozen=True):
    """The bytes that a text in a JSON body stands for."""

    path: tuple[str, ...]

    def read(self, request: ProviderRequest) -> bytes | None:
        """The bytes, or None if the text is not base64."""
        written = JsonField(self.path).read(request)
        try:
            return None if written is None else base64.b64decode(written, validate=True)
        except ValueError:
            return None


class FormField(msgspec.Struct, frozen=True):
    """A field of a form."""

    name: str

    def read(self, request: ProviderRequest) -> bytes | None:
        """Its first value."""
        try:
            return next((value.encode(errors="replace") for name, value in form_of(request) if name == self.name), None)
        except Unreadable:
            return None


class Body(msgspec.Struct, frozen=True):
    """The body, byte for byte."""

    def read(self, request: ProviderRequest) -> bytes | None:
        """The body."""
        return request.body


class BodyDigest(msgspec.Struct, frozen=True):
    """The SHA-256 of the body, as bytes."""

    def read(self, request: ProviderRequest) -> bytes | None:
        """The digest."""
        return hashlib.sha256(request.body).digest()


class Port(enum.Enum):
    """How a provider writes the port of a URL before it signs it."""

    AS_CONFIGURED = enum.auto()
    LEFT_OUT = enum.auto()
    SPELT_OUT = enum.auto()


class Url(msgspec.Struct, frozen=True):
    """The URL that the provider was given, with its query."""

    port: Port = Port.AS_CONFIGURED

    def read(self, request: ProviderRequest) -> bytes | None:
        """The URL."""
        return _with_port(request.url, self.port).encode(errors="replace")


class FormPairs(msgspec.Struct, frozen=True):
    """Each name of a form in order, followed by its values; where ``distinct``, each value once and in order."""

    distinct: bool = False

    def read(self, request: ProviderRequest) -> bytes | None:
        """The names and values, without anything between them."""
        try:
            pairs = form_of(request)
        except Unreadable:
            return None
        ordered = sorted(set(pairs)) if self.distinct else sorted(pairs, key=lambda pair: pair[0])
        return "".join(name + value for name, value in ordered).encode(errors="replace")


Place: TypeAlias = Header | Query | JsonField | FormField
"""Where a request says its signature or its time."""

Piece: TypeAlias = Text | Header | Query | JsonField | JsonBase64 | FormField | Body | BodyDigest | Url | FormPairs


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL by name; of several with one name, the last."""
    return dict(_pairs(_split(url).query))


def signed_bytes(pieces: tuple[Piece, ...], request: ProviderRequest) -> bytes | None:
    """All pieces in a row, or None if the request lacks one."""
    found = [piece.read(request) for piece in pieces]
    return None if None in found else b"".join(part for part in found if part is not None)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=1_000)
    except ValueError:
        return []


def _with_port(url: str, port: Port) -> str:
    parts = _split(url)
    default = _PORTS.get(parts.scheme)
    if port is Port.AS_CONFIGURED or default is None:
        return url
    name, colon, number = parts.netloc.rpartition(":")
    host = name if colon and number.isdigit() else parts.netloc
    if port is Port.SPELT_OUT:
        host = parts.netloc if host != parts.netloc else f"{host}:{default}"
    return parts._replace(netloc=host).geturl()
