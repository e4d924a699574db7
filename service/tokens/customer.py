"""Customer tokens: what a short-lived link to a customer's own pages says, signed.

    sign      claims in, a token out
    verify    a token in, its claims out, or ``PageClosed`` with the reasons of ``tokens.link``

A customer token opens a page of one customer, such as their wallet, and pays nothing. It is signed like a link token, but is of
another type and has other claims, exactly ``iss aud sub k iat exp``, and where they apply ``m`` (the message it is in, which a
live image always is), ``by`` (the number of the API key that made it) and ``w`` (that key may write on a customer's behalf).
So neither passes for the other, and each is only taken by the page of its kind. It is taken back with its message or its key.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Annotated, Literal

import msgspec

from service.egress.hosts import is_one_of
from service.tokens.link import NUMBER_MAX, LinkKeys, LinkRefusal, LinkRefused, sign_payload, signed_payload

TYPE = "rp+jwt"

_Number = Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)]


class CustomerTokenKind(enum.StrEnum):
    """What a customer token opens."""

    LIVE_IMAGE = "live"
    WALLET = "wallet"
    PREFERENCES = "preferences"


LIFE_S = {
    CustomerTokenKind.LIVE_IMAGE: 30 * 86_400,
    CustomerTokenKind.WALLET: 15 * 60,
    CustomerTokenKind.PREFERENCES: 30 * 86_400,
}
"""How long a token lives when nobody says otherwise."""
LIFE_S_MAX = {
    CustomerTokenKind.LIVE_IMAGE: 90 * 86_400,
    CustomerTokenKind.WALLET: 86_400,
    CustomerTokenKind.PREFERENCES: 90 * 86_400,
}
"""The longest life that is honoured, whoever signed it."""


class CustomerTokenClaims(msgspec.Struct, frozen=True, gc=False):
    """What a customer token says. Times are whole seconds since 1970.

    ``made_by`` is ``None`` in tokens of before keys were named; those could write.
    """

    kind: CustomerTokenKind
    brand: str
    host: str
    customer: int
    issued_at: int
    expires_at: int
    message_id: str = ""
    made_by: int | None = None
    may_write: bool = False


class PageClosed(LinkRefused):
    """This token is not honoured. ``brand`` is whose page it opened, when it is ours and has merely expired."""

    def __init__(self, refusal: LinkRefusal, brand: str | None = None) -> None:
        super().__init__(refusal)
        self.brand = brand


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    iss: str
    aud: str
    sub: Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,18}\Z")]
    k: Literal["live", "wallet", "preferences"]
    iat: _Number
    exp: _Number
    m: Annotated[str, msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    by: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | msgspec.UnsetType = msgspec.UNSET
    w: Literal[1] | msgspec.UnsetType = msgspec.UNSET


_payload_of = msgspec.json.Decoder(_Payload).decode


def sign(claims: CustomerTokenClaims, keys: LinkKeys) -> str:
    """Sign ``claims``. The same claims and key always give the same token."""
    payload: dict[str, str | int] = {
        "iss": claims.brand,
        "aud": claims.host,
        "sub": str(claims.customer),
        "k": claims.kind,
        "iat": claims.issued_at,
        "exp": claims.expires_at,
    }
    if claims.message_id:
        payload["m"] = claims.message_id
    if claims.made_by is not None:
        payload["by"] = claims.made_by
        if claims.may_write:
            payload["w"] = 1
    return sign_payload(payload, keys, TYPE)


def verify(token: str, keys: LinkKeys, *, kind: CustomerTokenKind, hosts: Collection[str], now: int) -> CustomerTokenClaims:
    """Give the claims of a token of ``kind`` that we signed for one of ``hosts`` and that has not expired.

    The clock is looked at last: only what is ours can be expired.
    """
    try:
        payload = _payload_of(signed_payload(token, keys.honoured, TYPE))
    except (ValueError, LinkRefused):
        raise PageClosed(LinkRefusal.FORGED) from None
    if not is_one_of(payload.aud, hosts) or payload.k != kind or payload.exp - payload.iat > LIFE_S_MAX[kind]:
        raise PageClosed(LinkRefusal.FORGED)
    if kind is CustomerTokenKind.LIVE_IMAGE and payload.m is msgspec.UNSET:
        raise PageClosed(LinkRefusal.FORGED)
    if payload.exp <= now:
        raise PageClosed(LinkRefusal.EXPIRED, payload.iss)
    return CustomerTokenClaims(
        kind=kind,
        brand=payload.iss,
        host=payload.aud,
        customer=int(payload.sub),
        issued_at=payload.iat,
        expires_at=payload.exp,
        message_id=payload.m or "",
        made_by=payload.by or None,
        may_write=payload.by is msgspec.UNSET or payload.w == 1,
    )
