"""API keys: ``rk_live_`` or ``rk_test_`` and 32 random bytes. We keep the SHA-256 of the whole text, so a key is shown once.

A fast hash is enough: there is nothing to guess in 256 random bits.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from service.brands.brand import Mode

PREFIX_CHARACTERS = 16
"""How much of a key is kept to be shown: its mode and 8 characters."""

_KEY = re.compile(r"rk_(live|test)_[A-Za-z0-9_-]{43}")


def make_key(mode: Mode) -> str:
    """Return a new key."""
    random = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return f"rk_{mode}_{random}"


def hash_key(key: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def prefix_of(key: str) -> str:
    """Return what is shown of a key."""
    return key[:PREFIX_CHARACTERS]


def read_authorization(header: str | None) -> str | None:
    """Return the key in an ``Authorization`` header, or None when there is none of our form."""
    kind, _, key = (header or "").partition(" ")
    key = key.strip()
    return key if kind.lower() == "bearer" and _KEY.fullmatch(key) else None
