"""Sealing (AES-256-GCM): only who has the key can read what is stored so, and nobody can change it or put it elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
KEY_BYTES = 32


class SealBroken(Exception):
    """What was sealed was changed, is of another place, or is sealed with a key that is not there any more."""


def sealed(content: bytes, key: bytes, *, place: bytes) -> bytes:
    """Seal ``content``; ``place`` says where it is kept, and has to be said to open it."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, place)


def opened(sealed: bytes, keys: Sequence[bytes], *, place: bytes) -> bytes:
    """What was sealed with one of ``keys``. Raises `SealBroken`."""
    for key in keys:
        try:
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            continue
    raise SealBroken
