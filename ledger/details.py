"""What the log holds of details: a hash. Details are kept beside the log, so that what is personal of them can be erased.

    version 2   SHA-256(rest || SHA-256(salt || personal)); a salt has 15 bytes
    version 1   SHA-256(salt || all); a salt has 16 bytes

``rest`` is a JSON array that begins with the version. ``personal`` are texts: each is a NUL byte and its UTF-8, or the byte FF
where there is none; neither byte occurs in a text. ``all`` is a JSON array.

An erasure leaves the inner hash of version 2, which says nothing without its salt: the log still proves the rest. Of version 1
it leaves nothing, and nothing of these details can be proved any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

SALT_BYTES = 15
_SALT_BYTES_OF_VERSION_1 = 16
_VERSION = 2

encode = msgspec.json.Encoder().encode
"""JSON as it is hashed."""


def new_salts(count: int) -> list[bytes]:
    """So many salts of version 2."""
    randomness = os.urandom(SALT_BYTES * count)
    return [randomness[at : at + SALT_BYTES] for at in range(0, len(randomness), SALT_BYTES)]


def rest(*fields: Any) -> bytes:
    """What is not personal, as it is hashed."""
    return encode((_VERSION, *fields))


def personal_hash(salt: bytes, *texts: str | None) -> bytes:
    """The inner hash: all that an erasure leaves of what is personal."""
    return sha256(salt + b"".join([b"\xff" if text is None else b"\0" + text.encode() for text in texts])).digest()


def event_personal_hash(salt: bytes, message_id: str, qualifier: str, metadata: str | None) -> bytes:
    """The same for an event, in a third less time: a grant waits for it."""
    return sha256(
        salt + f"\0{message_id}\0{qualifier}".encode() + (b"\xff" if metadata is None else b"\0" + metadata.encode())
    ).digest()


def details_hash(rest: bytes, personal_hash: bytes) -> bytes:
    """What the log holds."""
    return sha256(rest + personal_hash).digest()


def event_hash(salt: bytes | None, left: bytes | None, *details: Any) -> bytes | None:
    """The hash of an event's details as they are kept, ``None`` if it cannot be known any more.

    ``left`` is the inner hash, if that is all an erasure left of what is personal.
    """
    action, channel, grade, source, principal, campaign_version, rule, message_id, qualifier, metadata = details
    described = rest(action, channel, grade, source, principal, campaign_version, rule)
    former = (action, channel, message_id, qualifier, source, principal, campaign_version, rule, metadata)
    return _kept_hash(salt, left, described, (message_id, qualifier, metadata), former)


def redemption_hash(salt: bytes | None, left: bytes | None, *details: Any) -> bytes | None:
    """The same for a redemption."""
    order_ref, value, store_id, terminal_id = details
    return _kept_hash(salt, left, rest(value, store_id, terminal_id), (order_ref,), details)


def step_hash(salt: bytes | None, left: bytes | None, *details: Any) -> bytes | None:
    """The same for what was said about a capture or refund."""
    ref, store_id, terminal_id = details
    return _kept_hash(salt, left, rest(store_id, terminal_id), (ref,), details)


def correction_hash(salt: bytes | None, left: bytes | None, *details: Any) -> bytes | None:
    """The same for why something was corrected."""
    reason, reference, note = details
    return _kept_hash(salt, left, rest(reason), (reference, note), details)


def _kept_hash(
    salt: bytes | None, left: bytes | None, described: bytes, personal: Sequence[str | None], former: tuple[Any, ...]
) -> bytes | None:
    """The hash by whichever version the salt is of; ``former`` are the details as version 1 has them."""
    if salt is None:
        return None if left is None else details_hash(described, left)
    if len(salt) == _SALT_BYTES_OF_VERSION_1:
        return sha256(salt + encode(former)).digest()
    return details_hash(described, personal_hash(salt, *personal))
