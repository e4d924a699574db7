"""Signature schemes as data: what is signed, how, with which secret, and where the request says so.

    Signature   a MAC or signature over pieces of the request
    Presented   a secret that comes with each request, and says nothing of the body

A scheme is checked over the raw bytes, before anything is parsed. Each secret of its name is tried, so that one can be replaced
without losing an event. MACs are compared in constant time. A time is looked at after the signature over it: what is forged is
never called stale.
"""

from __future__ import annotations

import base64
import binascii
import enum
import functools
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from service.providers.signed_bytes import Header, Piece, Place, Query, signed_bytes
from service.providers.types import ProviderRequest, Secrets, Trust, Verdict, Verification

_SIGNATURES_MAX = 16
_TIMESTAMP_DIGITS_MAX = 16

Certificates: TypeAlias = Callable[[str], bytes]
"""Gives the certificate (PEM) at a URL that is on the provider's list of hosts. Raises ``OSError`` if it cannot be had now."""


class Context(msgspec.Struct, frozen=True):
    """What a request is checked against."""

    secrets: Secrets
    now: datetime
    certificates: Certificates


class Scheme(Protocol):
    """A way to recognise a provider."""

    @property
    def secret(self) -> str:
        """The name of the secret that it needs."""
        ...

    @property
    def trust(self) -> Trust:
        """The most that it proves."""
        ...

    def check(self, request: ProviderRequest, context: Context) -> Verification:
        """Whether the provider sent a request. Raises nothing but what ``certificates`` raises."""
        ...

    def problem_of(self, secret: str) -> str | None:
        """Why a value cannot be this scheme's secret."""
        ...


class Encoding(enum.Enum):
    """How a signature or key is written."""

    TEXT = enum.auto()
    HEX = enum.auto()
    BASE64 = enum.auto()

    def decode(self, written: bytes) -> bytes | None:
        """The bytes of it, or None if it is not written so."""
        try:
            if self is Encoding.HEX:
                return binascii.unhexlify(written)
            return base64.b64decode(written, validate=True) if self is Encoding.BASE64 else written
        except ValueError:
            return None


class Algorithm(enum.StrEnum):
    """How it is signed."""

    HMAC_SHA1 = "sha1"
    HMAC_SHA256 = "sha256"
    HMAC_SHA512 = "sha512"
    ECDSA_P256 = "ecdsa"
    """Over SHA-256, in DER; the key is a SubjectPublicKeyInfo."""
    ED25519 = "ed25519"

    def verifies(self, key: bytes, signed: bytes, signature: bytes) -> bool:
        """Whether ``signature`` was made over ``signed`` with ``key``, or with the private key of it."""
        if self in _PUBLIC_KEYS:
            verify = _PUBLIC_KEYS[self](key)
            return verify is not None and _holds(verify, signature, signed)
        return hmac.compare_digest(hmac.digest(key, signed, self.value), signature)


class Timestamp(msgspec.Struct, frozen=True):
    """Where a request says when it was signed, in seconds since 1970, and how far that may be from now."""

    place: Place
    tolerance_s: int


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature over pieces of a request."""

    place: Place
    algorithm: Algorithm
    encoding: Encoding
    signed: tuple[Piece, ...]
    secret: str
    prefix: str = ""
    """What stands before the signature; with ``separator``, what marks those of this scheme."""
    separator: str | None = None
    """Between several signatures: one that holds is enough."""
    key: Encoding = Encoding.TEXT
    key_prefix: str = ""
    """What a key may begin with, to say what it is."""
    timestamp: Timestamp | None = None
    body_digest: Query | None = None
    """Where the signed URL says the SHA-256 of the body, in hex, because the signature does not cover the body itself."""
    content_types: tuple[str, ...] = ()
    """Only for bodies of these types, because what is in the headers of others is not signed."""
    trust: Trust = Trust.SIGNED_BODY

    def check(self, request: ProviderRequest, context: Context) -> Verification:
        """Whether the request carries a signature that one of the secrets made."""
        written = self.place.read(request)
        signed = signed_bytes(self.signed, request)
        if written is None or signed is None or not self._is_for(request):
            return Verification(Verdict.UNSIGNED, "a header or field that the signature needs is missing")
        keys = [key for secret in context.secrets.get(self.secret, ()) if (key := self._key(secret)) is not None]
        signatures = self._signatures(written)
        if not any(self.algorithm.verifies(key, signed, signature) for key in keys for signature in signatures):
            return Verification(Verdict.FORGED, "no secret of the source made this signature")
        if self.body_digest and not _states_body(self.body_digest, request):
            return Verification(Verdict.FORGED, "the body is not the one that was signed")
        return self._in_time(request, context.now)

    def problem_of(self, secret: str) -> str | None:
        """Why a value cannot be the key."""
        key = self._key(secret)
        if key is None:
            return f"is not a key in {self.key.name.lower()}"
        usable = self.algorithm not in _PUBLIC_KEYS or _PUBLIC_KEYS[self.algorithm](key) is not None
        return None if usable else f"is not a public key for {self.algorithm.value}"

    def _is_for(self, request: ProviderRequest) -> bool:
        return not self.content_types or request.headers.get("content-type", "").lower().startswith(self.content_types)

    def _key(self, secret: str) -> bytes | None:
        return self.key.decode(secret.removeprefix(self.key_prefix).encode(errors="replace"))

    def _signatures(self, written: bytes) -> list[bytes]:
        listed = [written] if self.separator is None else written.split(self.separator.encode(), _SIGNATURES_MAX)
        prefix = self.prefix.encode()
        ours = [each.removeprefix(prefix) for each in listed if each.startswith(prefix)]
        return [signature for each in ours if (signature := self.encoding.decode(each)) is not None]

    def _in_time(self, request: ProviderRequest, now: datetime) -> Verification:
        if self.timestamp is None:
            return Verification(Verdict.VERIFIED)
        written = self.timestamp.place.read(request) or b""
        if not written.isdigit() or len(written) > _TIMESTAMP_DIGITS_MAX:
            return Verification(Verdict.FORGED, "the time of signing is not a number of seconds")
        if abs(now.timestamp() - int(written)) > self.timestamp.tolerance_s:
            return Verification(Verdict.STALE, f"signed more than {self.timestamp.tolerance_s} seconds from now")
        return Verification(Verdict.VERIFIED)


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that comes with each request: a password, a bearer token, a header of the brand's choosing."""

    place: Place
    secret: str
    prefix: str = ""
    encoding: Encoding = Encoding.TEXT
    """How the secret is written in the request: basic authentication has ``name:password`` in base64."""
    trust: Trust = Trust.SHARED_SECRET

    def check(self, request: ProviderRequest, context: Context) -> Verification:
        """Whether the request presents one of the secrets."""
        written = self.place.read(request)
        if written is None:
            return Verification(Verdict.UNSIGNED, "the request does not present the secret of the source")
        shown = written[len(self.prefix) :] if written[: len(self.prefix)].lower() == self.prefix.lower().encode() else b""
        presented = _digest(self.encoding.decode(shown) or b"")
        known = [_digest(secret.encode(errors="replace")) for secret in context.secrets.get(self.secret, ()) if secret]
        if any(hmac.compare_digest(presented, each) for each in known):
            return Verification(Verdict.VERIFIED)
        return Verification(Verdict.FORGED, "the request presents another secret")

    def problem_of(self, secret: str) -> str | None:
        """Any text will do."""
        return None


def no_certificate(url: str) -> bytes:
    """Stand in where no certificate can be asked for."""
    raise OSError("no certificate can be fetched here")


def _digest(secret: bytes) -> bytes:
    # Comparing takes as long for a secret of another length.
    return hashlib.sha256(secret).digest()


def _states_body(place: Query, request: ProviderRequest) -> bool:
    stated = (place.read(request) or b"").lower()
    return hmac.compare_digest(stated, hashlib.sha256(request.body).hexdigest().encode())


_Verify: TypeAlias = Callable[[bytes, bytes], None]


def _holds(verify: _Verify, signature: bytes, signed: bytes) -> bool:
    try:
        verify(signature, signed)
    except InvalidSignature:
        return False
    return True


# Reading a key takes as long as checking a signature with it.
@functools.lru_cache(maxsize=1_024)
def _p256(key: bytes) -> _Verify | None:
    try:
        loaded = load_der_public_key(key)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(loaded, ec.EllipticCurvePublicKey) or not isinstance(loaded.curve, ec.SECP256R1):
        return None
    return lambda signature, signed: loaded.verify(signature, signed, ec.ECDSA(SHA256()))


@functools.lru_cache(maxsize=1_024)
def _ed25519(key: bytes) -> _Verify | None:
    try:
        return ed25519.Ed25519PublicKey.from_public_bytes(key).verify
    except ValueError:
        return None


_PUBLIC_KEYS: dict[Algorithm, Callable[[bytes], _Verify | None]] = {
    Algorithm.ECDSA_P256: _p256,
    Algorithm.ED25519: _ed25519,
}

BASIC_AUTH = Presented(place=Header("authorization"), prefix="Basic ", encoding=Encoding.BASE64, secret="basic_auth")
BEARER = Presented(place=Header("authorization"), prefix="Bearer ", secret="bearer_token")
SECRET_HEADER = Presented(place=Header("x-reward-secret"), secret="secret_header")
URL_SECRET = Presented(place=Query("secret"), secret="url_secret")
"""For a provider that lets a brand set nothing but the URL."""
