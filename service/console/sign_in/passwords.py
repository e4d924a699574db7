"""Passwords: Argon2id (RFC 9106), with the parameters that OWASP recommends where memory is shared with other work.

Hashing takes some 60 ms and 19 MiB, in a thread; ``limits`` bounds how many there are at once.
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

CHARACTERS_MIN = 12
"""Longer than what can be tried: NIST SP 800-63B asks for no other rule."""
BYTES_MAX = 512
_SALT_BYTES = 16
_HASH_BYTES = 32
_MEMORY_KIB = 19 * 1024
_ITERATIONS = 2


def hash_password(password: str) -> str:
    """What is kept of a password: its hash with salt and parameters, in the form that other libraries read too."""
    kdf = Argon2id(salt=os.urandom(_SALT_BYTES), length=_HASH_BYTES, iterations=_ITERATIONS, lanes=1, memory_cost=_MEMORY_KIB)
    return kdf.derive_phc_encoded(password.encode())


def is_password(password: str, kept: str) -> bool:
    """Whether it is the password of which this was kept."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), kept)
    except InvalidKey:
        return False
    return True


def _encoded(length: int) -> str:
    return base64.b64encode(os.urandom(length)).rstrip(b"=").decode()


NOBODYS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p=1${_encoded(_SALT_BYTES)}${_encoded(_HASH_BYTES)}"
"""What is compared where there is no such login, so that it takes as long."""


def refusal_of(password: str, login: str) -> str | None:
    """Why this cannot be somebody's password; ``None`` if it can."""
    if len(password) < CHARACTERS_MIN:
        return f"needs at least {CHARACTERS_MIN} characters: three or four words will do"
    if len(password.encode(errors="surrogatepass")) > BYTES_MAX:
        return f"must be at most {BYTES_MAX} bytes long"
    if login in password.lower() or len(set(password)) < 5:
        return "is too easy to guess"
    return None
