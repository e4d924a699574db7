"""Codes: what stands for a link where a token is too long, in an SMS and in print.

    code_of       the code of something, always the same under the same key
    normal_code   a code as it is looked up, however it was typed
    code_hash     what it is looked up by

A code is 80 bits in base32 (RFC 4648): 16 capital letters and digits, so that a QR code of its address can be written in the
alphanumeric mode, which is half the size. The bits are the start of an HMAC-SHA-256, and nobody without the key can tell them
from random ones; so a code need not be kept to be given again. Kept is only its hash: who reads the table can use none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.settings import LinkKey

BITS = 80
CODE_CHARACTERS = BITS // 5
HASH_BYTES = 16
_CODE = re.compile(r"[A-Za-z2-7]{16}")


def code_key(key: LinkKey) -> bytes:
    """The key of codes that goes with a link key (HKDF, RFC 5869): no key is used for two things."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"code 1").derive(key.private_key)


def code_of(subject: bytes, key: bytes) -> str:
    """The code of ``subject``."""
    return base64.b32encode(hmac.digest(key, subject, "sha256")[: BITS // 8]).decode()


def normal_code(text: str) -> str | None:
    """The code that ``text`` is, if it may be one."""
    return text.upper() if _CODE.fullmatch(text) else None


def code_hash(code: str) -> bytes:
    """What a code is looked up by. It has 80 bits of its own, so that no salt is needed."""
    return hashlib.sha256(code.encode()).digest()[:HASH_BYTES]
