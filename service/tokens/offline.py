"""Offline tokens: links that a brand's own system has signed, with a key that it registered.

    verify      a token and the key it names in, its claims out, or ``LinkRefused``
    payload_of  the half of that which is the signature's
    claims_in   the half of that which is the claims'

Such a token has a link token's header, with a ``kid`` of its own kind. Its claims are exactly ``iss aud sub m c a d iat exp``,
and, where they apply, ``k`` (as in a link token), ``ch`` (the channel), ``l`` (the label that tells a message's links apart)
and ``sent_at``. So it is never taken for a token of ours, nor ours for it. It names the campaign by the brand's own id, and the
customer and the destination by our numbers: no identity, and no URL. There is no ``jti``: which event it is follows from the
rest.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.http.bodies import Identifier, Slug
from service.http.problems import Problem
from service.http.strict_json import decode_body
from service.tokens.ed25519_keys import is_good
from service.tokens.link import TOKEN_CHARACTERS_MAX, TYPE, LinkKind, LinkMode, LinkRefusal, LinkRefused, signed_payload

_KID = re.compile(r"mk_([1-9][0-9]{0,9})")
_IN_HEADER = re.compile(r'"kid"\s*:\s*"(mk_[1-9][0-9]{0,9})"')
_SECOND_MAX = 253_402_300_799
"""The end of the year 9999, which is as far as dates go."""
_Second = Annotated[int, msgspec.Meta(ge=1, le=_SECOND_MAX)] | Annotated[float, msgspec.Meta(ge=1, le=_SECOND_MAX)]
"""A NumericDate (RFC 7519, section 2): seconds since 1970, with a fraction or without."""


class OfflineClaims(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What a token says."""

    iss: str
    aud: str | list[str]
    sub: Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,17}\Z")]
    m: Identifier
    c: Identifier
    a: Slug
    d: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    iat: _Second
    exp: _Second
    k: Literal["handoff", "redirect", "open"] | None = None
    ch: Slug | None = None
    l: Identifier = ""  # noqa: E741 - a claim's name is paid for in every link
    sent_at: _Second | None = None

    @property
    def audience(self) -> Sequence[str]:
        """The hosts that are addressed: by a text, or by a list of them (RFC 7519, section 4.1.3)."""
        return [self.aud] if isinstance(self.aud, str) else self.aud

    @property
    def kind(self) -> LinkKind:
        """What following the link does."""
        return LinkKind.OPEN if self.k == LinkKind.OPEN else LinkKind.CLAIM

    @property
    def mode(self) -> LinkMode:
        """How a claim is honoured."""
        return LinkMode.PAGE if self.k is None or self.kind is LinkKind.OPEN else LinkMode(self.k)


_decoder = msgspec.json.Decoder(OfflineClaims)


def kid_of(key_no: int) -> str:
    """The ``kid`` of a registered key."""
    return f"mk_{key_no}"


def parse_kid(kid: str) -> int | None:
    """The number of the registered key of a ``kid``."""
    match = _KID.fullmatch(kid)
    return int(match[1]) if match and int(match[1]) < 2**31 else None


def key_named_by(token: str) -> int | None:
    """Which registered key a token says that it is signed with; nothing of it is believed yet."""
    return _named_in(token.partition(".")[0]) if len(token) <= TOKEN_CHARACTERS_MAX else None


# Every link is looked at for this, and tokens of one key have one header.
@functools.lru_cache(maxsize=64)
def _named_in(header: str) -> int | None:
    try:
        found = _IN_HEADER.search(base64.urlsafe_b64decode(header + "==").decode())
    except ValueError:
        return None
    return parse_kid(found[1]) if found else None


class Said(msgspec.Struct, frozen=True):
    """What a token says of where it leads. It is unchecked: good enough to lead on to where its brand allows, and no more."""

    brand: str = ""
    destination_no: int = 0
    mode: LinkMode = LinkMode.PAGE
    customer: int = 0


def says(token: str) -> Said:
    """What can be read of a token."""
    try:
        claims = decode_body(base64.urlsafe_b64decode(token.split(".")[1] + "=="), _decoder)
    except (ValueError, IndexError, Problem):
        return Said()
    return Said(claims.iss, claims.d, claims.mode, int(claims.sub))


def verify(token: str, key_no: int, public_key: bytes) -> OfflineClaims:
    """Give the claims of a token that a registered key signed. When and for whom is for the caller to judge."""
    try:
        return claims_in(payload_of(token, key_no, public_key))
    except Problem:
        raise LinkRefused(LinkRefusal.FORGED) from None


def payload_of(token: str, key_no: int, public_key: bytes) -> bytes:
    """What a registered key signed, unread. Raises ``LinkRefused``."""
    if not is_good(public_key):
        # Registered before such keys were refused.
        raise LinkRefused(LinkRefusal.FORGED)
    try:
        keys = {kid_of(key_no): Ed25519PublicKey.from_public_bytes(public_key)}
    except ValueError:
        raise LinkRefused(LinkRefusal.FORGED) from None
    return signed_payload(token, keys, TYPE)


def claims_in(payload: bytes) -> OfflineClaims:
    """The claims of a payload. Raises the ``Problem`` that names the claim that is wrong."""
    return decode_body(payload, _decoder)
