"""Claim receipts: how a customer's browser carries a decision from the claim to the page that shows it.

After a claim the browser is sent to ``/r/done/<receipt>``, so that the link's token leaves the address bar and a reload shows
the page again without claiming anything. A receipt says what was decided; it can claim nothing, and after a quarter
of an hour it no longer shows the balance to whoever finds it in a history.

It is MessagePack with 16 bytes of HMAC-SHA-256. Its keys are derived from the link keys (HKDF, RFC 5869), so that
no key is used for two things and no second secret has to be kept.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.settings import LinkKey

LIFE_S = 15 * 60
_MAC_BYTES = 16


class ClaimReceipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was decided on a claim, and what the page needs to say so and lead on."""

    brand: str
    destination_no: int
    campaign_no: int
    campaign_version: int
    page: str
    points: int
    balance: int | None
    issued_at: int

    def is_fresh(self, now: int) -> bool:
        """Whether the balance may still be shown."""
        return now < self.issued_at + LIFE_S


def receipt_keys(keys: Sequence[LinkKey]) -> list[bytes]:
    """One key for each link key, newest first."""
    return [
        HKDF(algorithm=SHA256(), length=32, salt=None, info=b"claim receipt 1").derive(key.private_key)
        for key in reversed(keys)
    ]


def seal(receipt: ClaimReceipt, keys: Sequence[bytes]) -> str:
    """Make the receipt's text for a URL."""
    body = msgspec.msgpack.encode(receipt)
    return base64.urlsafe_b64encode(_mac(body, keys[0]) + body).rstrip(b"=").decode()


def unseal(text: str, keys: Sequence[bytes]) -> ClaimReceipt | None:
    """Give the receipt of a text that one of ``keys`` sealed."""
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(body, key)) for key in keys):
            return None
        return msgspec.msgpack.decode(body, type=ClaimReceipt)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC_BYTES]
