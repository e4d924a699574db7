"""Sealing: what we hand to a browser and want back unchanged, as a text that fits into a URL.

It is MessagePack with 16 bytes of HMAC-SHA-256 before it. Keys are derived from the link keys (HKDF, RFC 5869), one for each
``purpose``, so that no key is used for two things and no second secret has to be kept.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.settings import LinkKey

_MAC_BYTES = 16

T = TypeVar("T", bound=msgspec.Struct)


def sealing_keys(keys: Sequence[LinkKey], purpose: str) -> tuple[bytes, ...]:
    """One key for each link key, newest first."""
    return tuple(
        HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(key.private_key) for key in reversed(keys)
    )


def seal(value: msgspec.Struct, keys: Sequence[bytes]) -> str:
    """Make the text of a value."""
    body = msgspec.msgpack.encode(value)
    return base64.urlsafe_b64encode(_mac(body, keys[0]) + body).rstrip(b"=").decode()


def unseal(text: str, declared: type[T], keys: Sequence[bytes]) -> T | None:
    """Give the value of a text that one of ``keys`` sealed."""
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(body, key)) for key in keys):
            return None
        return msgspec.msgpack.decode(body, type=declared)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC_BYTES]
