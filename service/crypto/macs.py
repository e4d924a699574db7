"""Records that carry a MAC: 16 bytes of HMAC-SHA-256 stand before each, and only who has the key can have put them there."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

_MAC_BYTES = 16


def with_mac(record: bytes, key: bytes) -> bytes:
    """The record behind its MAC."""
    return _mac(record, key) + record


def without_mac(sealed: bytes, keys: Sequence[bytes]) -> bytes | None:
    """The record, if its MAC was made with one of ``keys``."""
    mac, record = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
    return record if any(hmac.compare_digest(mac, _mac(record, key)) for key in keys) else None


def mac_removed(sealed: bytes) -> bytes:
    """The record, whoever made its MAC."""
    return sealed[_MAC_BYTES:]


def _mac(record: bytes, key: bytes) -> bytes:
    return hmac.digest(key, record, "sha256")[:_MAC_BYTES]
