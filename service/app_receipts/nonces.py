"""The nonces that a device has used, as long as a receipt of them could still be taken: a nonce is of one receipt.

They stand in the device's row, packed, so that they go where it goes. A day's receipts are bounded, and so is how old one is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

_HASH_BYTES = 8


class Use(enum.Enum):
    """Whether a nonce is used for the first time, for the same receipt again, or for another one."""

    NEW = "new"
    AGAIN = "again"
    TAKEN = "taken"


class _Used(msgspec.Struct, frozen=True, array_like=True, gc=False):
    nonce: bytes
    receipt: bytes
    at_s: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Used]).decode


class Nonces:
    """The nonces of one device; ``since_s`` is how old a receipt may be at most."""

    def __init__(self, stored: bytes, since_s: int) -> None:
        used: Iterable[_Used] = _decode(stored) if stored else ()
        self._used = {each.nonce: each for each in used if each.at_s >= since_s}

    def use(self, nonce: str, signed: bytes, at_s: int) -> Use:
        """Use a nonce for what was signed."""
        made = _Used(_hash(nonce.encode()), _hash(signed), at_s)
        before = self._used.setdefault(made.nonce, made)
        if before is made:
            return Use.NEW
        return Use.AGAIN if before.receipt == made.receipt else Use.TAKEN

    def forget(self, nonce: str) -> None:
        """Take back what was used."""
        del self._used[_hash(nonce.encode())]

    @property
    def stored(self) -> bytes:
        """As they are stored."""
        return _encode(list(self._used.values()))


def _hash(value: bytes) -> bytes:
    return blake2b(value, digest_size=_HASH_BYTES).digest()
