"""Derived keys: one for each purpose (HKDF, RFC 5869), so that no key is used for two things and no second secret is kept."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.settings import LinkKey


def derived_key(key: LinkKey, purpose: str) -> bytes:
    """The key for ``purpose`` that goes with a link key."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(key.private_key)


def key_in_use(keys: Sequence[LinkKey]) -> LinkKey:
    """The last link key that is not retired: the one that signs."""
    return [key for key in keys if key.retired_at is None][-1]


def derived_keys(keys: Sequence[LinkKey], purpose: str) -> tuple[bytes, ...]:
    """One key for each link key: that of the key in use, with which we seal, and then of the others, newest first."""
    in_use = key_in_use(keys)
    return tuple(derived_key(key, purpose) for key in (in_use, *(key for key in reversed(keys) if key is not in_use)))
