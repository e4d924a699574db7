"""Sealing: what we hand to a browser and want back unchanged, as a text that fits into a URL: MessagePack behind a MAC."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from service.crypto.macs import with_mac, without_mac

T = TypeVar("T", bound=msgspec.Struct)


def seal(value: msgspec.Struct, keys: Sequence[bytes]) -> str:
    """Make the text of a value."""
    body = msgspec.msgpack.encode(value)
    return base64.urlsafe_b64encode(with_mac(body, keys[0])).rstrip(b"=").decode()


def unseal(text: str, declared: type[T], keys: Sequence[bytes]) -> T | None:
    """Give the value of a text that one of ``keys`` sealed."""
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        body = without_mac(sealed, keys)
        return None if body is None else msgspec.msgpack.decode(body, type=declared)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
