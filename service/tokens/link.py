"""Link tokens: what a reward link says, signed, so that nobody else can say it.

    sign_many   claims in, tokens out, with the newest key
    verify      a token in, its claims out, or ``LinkRefused`` with one of three reasons
    trimmed     a token without what a mail program took for a part of its address
    jwks        the public keys, for whoever wants to check a link without us

A token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037). Its header is exactly ``alg kid typ``, its claims are exactly
``iss aud jti sub m c a d iat sent_at exp``, and ``k`` where the link is anything but a claim on our page. It names a customer
by our number and never holds an identity. What it pays is not in it: that is the campaign's to say. The checks follow RFC 8725:
the algorithm is fixed (3.1), the key is picked by ``kid`` from our own map and never from the token (3.10), ``typ`` is explicit
(3.11), and what is signed for one use is nothing in another (3.12): see ``tokens.customer``. Signing and checking are PyJWT's
algorithm; a token is taken apart once, here: PyJWT's own parser looks at each character in Python, twice, which costs more than
the signature. What our own keys signed is checked by signing it again (decision 27), a quarter of what the public key costs.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import enum
import functools
import hmac
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.crypto.derived_keys import key_in_use
from service.egress.hosts import is_one_of
from service.http.strict_json import decode_body
from service.settings import LinkKey

ALGORITHM = "EdDSA"
TYPE = "rl+jwt"
TOKEN_CHARACTERS_MAX = 4_096
_WHOLE_TOKEN = re.compile(r"[^A-Za-z0-9]*([A-Za-z0-9][A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86})(?![A-Za-z0-9])")
"""An Ed25519 signature is 64 bytes, so it is known where a token ends."""
NUMBER_MAX = 2**63 - 1

_eddsa = jwt.get_algorithm_by_name(ALGORITHM)

_TO_STANDARD, _TO_URL = bytes.maketrans(b"-_", b"+/"), bytes.maketrans(b"+/", b"-_")

_Number = Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)]


class LinkKind(enum.StrEnum):
    """What a link does: a claim pays for an action, an open only reports that an image was fetched."""

    CLAIM = "claim"
    OPEN = "open"


class LinkMode(enum.StrEnum):
    """How a claim is made: on our page, by the shop it is handed to, or on the way when the link redirects."""

    PAGE = "page"
    HANDOFF = "handoff"
    REDIRECT = "redirect"


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    # A signer's library may go by the name of RFC 9864, which stands for the same signature under the same key.
    alg: Literal["EdDSA", "Ed25519"]
    kid: str
    typ: str


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    iss: str
    aud: str
    jti: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{40}\Z")]
    sub: Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,18}\Z")]
    m: str
    c: Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,9}\.[1-9][0-9]{0,9}\Z")]
    a: str
    d: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
    iat: _Number
    sent_at: _Number
    exp: _Number
    k: Literal["h", "r", "o"] | msgspec.UnsetType = msgspec.UNSET


# A letter: each character of a claim is paid for in every message.
_K_OF_MODE = {LinkMode.HANDOFF: "h", LinkMode.REDIRECT: "r"}
_MODE_OF_K: dict[str | msgspec.UnsetType, LinkMode] = {letter: mode for mode, letter in _K_OF_MODE.items()}
_header_decoder = msgspec.json.Decoder(_Header)
_decode_header = _header_decoder.decode
_payload_of = msgspec.json.Decoder(_Payload).decode


class LinkRefusal(enum.StrEnum):
    """Why a token is not honoured. ``FORGED`` is anything we did not sign so; it never says what was wrong."""

    FORGED = "forged"
    EXPIRED = "expired"
    FOREIGN = "foreign"


class LinkClaims(msgspec.Struct, frozen=True, gc=False):
    """What a token says. Times are whole seconds since 1970; ``link_id`` is the campaign's number and the event key.

    An open leads nowhere: its ``destination_no`` is 0.
    """

    brand: str
    host: str
    link_id: bytes
    customer: int
    message_id: str
    campaign_no: int
    campaign_version: int
    action: str
    destination_no: int
    issued_at: int
    sent_at: int
    expires_at: int
    kind: LinkKind = LinkKind.CLAIM
    mode: LinkMode = LinkMode.PAGE


class LinkRefused(Exception):
    """This token is not honoured. ``claims`` are there when it is ours and has merely expired."""

    def __init__(self, refusal: LinkRefusal, claims: LinkClaims | None = None) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.claims = claims


class LinkKeys(msgspec.Struct, frozen=True):
    """The key that signs, and all that are still honoured, by ``kid``."""

    kid: str
    honoured: Mapping[str, Ed25519PrivateKey]

    @property
    def signing(self) -> Ed25519PrivateKey:
        """The key that signs."""
        return self.honoured[self.kid]


def link_keys(keys: Sequence[LinkKey]) -> LinkKeys:
    """Load the keys of the secrets file; retired ones still verify."""
    honoured = {key.kid: Ed25519PrivateKey.from_private_bytes(key.private_key) for key in keys}
    return LinkKeys(kid=key_in_use(keys).kid, honoured=honoured)


def sign(claims: LinkClaims, keys: LinkKeys) -> str:
    """Sign ``claims``. The same claims and key always give the same token (Ed25519 is deterministic)."""
    payload: dict[str, str | int] = {
        "iss": claims.brand,
        "aud": claims.host,
        "jti": claims.link_id.hex(),
        "sub": str(claims.customer),
        "m": claims.message_id,
        "c": f"{claims.campaign_no}.{claims.campaign_version}",
        "a": claims.action,
        "d": claims.destination_no,
        "iat": claims.issued_at,
        "sent_at": claims.sent_at,
        "exp": claims.expires_at,
    }
    if claims.kind is LinkKind.OPEN:
        payload["k"] = "o"
    elif claims.mode is not LinkMode.PAGE:
        payload["k"] = _K_OF_MODE[claims.mode]
    return sign_payload(payload, keys, TYPE)


def sign_payload(payload: Mapping[str, str | int], keys: LinkKeys, token_type: str) -> str:
    """Sign any payload as a token of a type."""
    signed = f"{_header(keys.kid, token_type)}.{_segment(payload)}"
    return f"{signed}.{_base64url(_eddsa.sign(signed.encode(), keys.signing))}"


@functools.cache
def _header(kid: str, token_type: str) -> str:
    return _segment({"alg": ALGORITHM, "kid": kid, "typ": token_type})


# All in ASCII, as JSON may be written: a token must not change because a faster encoder writes otherwise.
_json_of = json.JSONEncoder(separators=(",", ":")).encode


def _segment(part: Mapping[str, str | int]) -> str:
    return _base64url(_json_of(dict(part)).encode())


def sign_many(claims: Iterable[LinkClaims], keys: LinkKeys) -> list[str]:
    """Sign many; some 40 µs each, so more than a few belong in a thread."""
    return [sign(each, keys) for each in claims]


def verify(
    token: str,
    keys: LinkKeys,
    *,
    hosts: Collection[str],
    now: int,
    brand: str | None = None,
    kind: LinkKind = LinkKind.CLAIM,
) -> LinkClaims:
    """Give the claims of a token that we signed for one of ``hosts`` and that has not expired.

    ``kind`` is what it must be a token for; ``brand`` asks for a token of that brand. The clock is looked at last: only what is
    ours can be expired.
    """
    try:
        claims = _claims(_payload_of(signed_payload(token, keys.honoured, TYPE)))
    except ValueError:
        raise LinkRefused(LinkRefusal.FORGED) from None
    if not is_one_of(claims.host, hosts) or claims.kind is not kind:
        raise LinkRefused(LinkRefusal.FORGED)
    if brand is not None and claims.brand != brand:
        raise LinkRefused(LinkRefusal.FOREIGN)
    if claims.expires_at <= now:
        raise LinkRefused(LinkRefusal.EXPIRED, claims)
    return claims


def jwks(keys: LinkKeys) -> dict[str, list[dict[str, str]]]:
    """The public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
    return {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": ALGORITHM,
                "use": "sig",
                "kid": kid,
                "x": _base64url(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
            }
            for kid, key in keys.honoured.items()
        ]
    }


def trimmed(token: str) -> str:
    """A token without the full stop, bracket or quote that stood around its address in a message."""
    match = _WHOLE_TOKEN.match(token)
    return match[1] if match else token


def signed_payload(token: str, keys: Mapping[str, Ed25519PrivateKey | Ed25519PublicKey], token_type: str) -> bytes:
    """The payload of a token of a type, if one of ``keys`` signed it. Raises ``LinkRefused``."""
    try:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise ValueError(len(token))
        signed, _, signature = token.rpartition(".")
        head, _, payload = signed.partition(".")
        header = _header_of(head)
        key = keys.get(header.kid) if header.typ == token_type else None
        said = _bytes_of(payload)
        if key is None or not _is_signature(_bytes_of(signature), signed.encode(), key):
            raise ValueError(header.kid)
    except ValueError:
        raise LinkRefused(LinkRefusal.FORGED) from None
    return said


def _is_signature(signature: bytes, signed: bytes, key: Ed25519PrivateKey | Ed25519PublicKey) -> bool:
    if isinstance(key, Ed25519PublicKey):
        return _eddsa.verify(signed, key, signature)
    # Ed25519 is deterministic: there is one signature, and what we compute leaves this function only as yes or no.
    return hmac.compare_digest(_eddsa.sign(signed, key), signature)


def type_of(token: str) -> str:
    """The type that a token's header says; empty for what cannot be read. Raises the ``Problem`` of a header that is wrong."""
    with contextlib.suppress(ValueError):
        return decode_body(_bytes_of(token.partition(".")[0]), _header_decoder).typ
    return ""


# Tokens of one key have one header.
@functools.lru_cache(maxsize=64)
def _header_of(segment: str) -> _Header:
    return _decode_header(_bytes_of(segment))


def _claims(payload: _Payload) -> LinkClaims:
    is_open = payload.k == "o"
    if is_open != (payload.d == 0):
        raise ValueError(payload.d)
    campaign_no, _, campaign_version = payload.c.partition(".")
    return LinkClaims(
        brand=payload.iss,
        host=payload.aud,
        link_id=bytes.fromhex(payload.jti),
        customer=int(payload.sub),
        message_id=payload.m,
        campaign_no=int(campaign_no),
        campaign_version=int(campaign_version),
        action=payload.a,
        destination_no=payload.d,
        issued_at=payload.iat,
        sent_at=payload.sent_at,
        expires_at=payload.exp,
        kind=LinkKind.OPEN if is_open else LinkKind.CLAIM,
        mode=_MODE_OF_K.get(payload.k, LinkMode.PAGE),
    )


def _bytes_of(segment: str) -> bytes:
    """What a segment says. Raises ``ValueError`` unless it is spelt as we spell it, so that a token has no second spelling."""
    spelt = segment.encode()
    data = binascii.a2b_base64(spelt.translate(_TO_STANDARD) + b"==")
    if binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=") != spelt:
        raise ValueError(segment)
    return data


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
