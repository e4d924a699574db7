"""One-time codes of authenticator apps: six digits, a new one every 30 seconds (RFC 6238), from a secret that the app scans."""

from __future__ import annotations

import base64
import binascii
import os
from urllib.parse import quote, urlencode

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from markupsafe import Markup

STEP_S = 30
SECRET_BYTES = 20
_DIGITS = 6
_STEPS_OFF = 1
"""How far a phone's clock may be from ours, either way."""


def make_secret() -> str:
    """A new secret, as an app shows it."""
    return base64.b32encode(os.urandom(SECRET_BYTES)).decode()


def read_secret(text: str) -> bytes | None:
    """The bytes of a secret; ``None`` if it is none of ours."""
    try:
        secret = base64.b32decode(text)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) == SECRET_BYTES else None


def step_of(code: str, secret: bytes, *, now: float, after: int = 0) -> int | None:
    """Which step a code is of, if it is good now and of a step behind ``after``."""
    digits = "".join(code.split())
    if len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    current = int(now) // STEP_S
    for step in range(current - _STEPS_OFF, current + _STEPS_OFF + 1):
        if step > after and _is_code(digits, secret, step):
            return step
    return None


def _is_code(digits: str, secret: bytes, step: int) -> bool:
    try:
        _codes(secret).verify(digits.encode(), step * STEP_S)
    except InvalidToken:
        return False
    return True


def code_at(secret: bytes, now: float) -> str:
    """The code that an app shows now."""
    return _codes(secret).generate(int(now)).decode()


def _codes(secret: bytes) -> TOTP:
    # Apps know SHA-1 alone; as an HMAC it is as good as any.
    return TOTP(secret, _DIGITS, SHA1(), STEP_S)  # noqa: S303


def address_of(secret: str, *, issuer: str, login: str) -> str:
    """What the QR code says: https://github.com/google/google-authenticator/wiki/Key-Uri-Format."""
    label = quote(f"{issuer}:{login}", safe="")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer}, quote_via=quote)}"


def qr_code(address: str) -> Markup:
    """The QR code as SVG, without a style of its own."""
    code = segno.make(address, error="m")
    svg = code.svg_inline(border=3, svgclass="qr", lineclass=None, omitsize=True, dark="#000", light="#fff")
    return Markup(svg)  # noqa: S704 - shapes alone
