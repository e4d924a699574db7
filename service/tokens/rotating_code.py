"""Rotating codes: a display shows another code every so many seconds, so that whoever has one is in front of that display.

    handle_of  the part of the code that stays: it says which batch it is, and is what is looked up
    code_at    the code that is shown at an instant
    steps_ago  how many time steps ago a code was shown, if it can still be claimed
    claimable  the codes that can be claimed at an instant
    seal_name  the name that a display asks for its picture by: who has that has every code to come

It works as TOTP does (RFC 6238). Eight characters of a code are the handle, eight are 40 bits of an HMAC-SHA-256 over the
handle and the number of the time step, under the key of codes. Nothing is stored for a step, and to draw one nothing is looked
up.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime

import msgspec

from service.crypto.derived_keys import derived_keys
from service.settings import LinkKey
from service.tokens import sealing
from service.tokens.code import code_of

HANDLE_CHARACTERS = 8
OPENABLE_STEPS = 1
"""How many time steps after its own a code can still be opened: it takes a moment to find the camera."""
CLAIMABLE_FOR_S = 600
"""How long after that it can be claimed: whoever has opened it has to type."""


class RotatingCode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What it takes to draw the code at any time."""

    handle: str
    rotates_every_s: int
    kid: str


def rotating_code_keys(keys: Sequence[LinkKey]) -> tuple[bytes, ...]:
    """One key for each link key, newest first."""
    return derived_keys(keys, "screen 1")


def seal_name(rotating: RotatingCode, keys: Sequence[bytes]) -> str:
    """What its picture is asked for by."""
    return sealing.seal(rotating, keys)


def unseal_name(name: str, keys: Sequence[bytes]) -> RotatingCode | None:
    """The rotating code that a picture is asked for."""
    return sealing.unseal(name, RotatingCode, keys)


def handle_of(brand_id: int, batch_id: str, key: bytes) -> str:
    """The part of a batch's codes that stays."""
    return code_of(b"screen %d %s" % (brand_id, batch_id.encode()), key)[:HANDLE_CHARACTERS]


def code_at(rotating: RotatingCode, at: datetime, key: bytes) -> str:
    """The code that is shown."""
    return _code(rotating.handle, _step(at, rotating.rotates_every_s), key)


def shown_for_s(rotating: RotatingCode, at: datetime) -> int:
    """How many more whole seconds it is shown, at least one."""
    return rotating.rotates_every_s - int(at.timestamp()) % rotating.rotates_every_s


def steps_ago(code: str, rotates_every_s: int, at: datetime, key: bytes) -> int | None:
    """How many time steps ago a code was shown; ``None`` if it cannot be claimed any more, or never could be.

    The clock of whoever drew it may be a little ahead: of the next step it says 0.
    """
    step, handle = _step(at, rotates_every_s), code[:HANDLE_CHARACTERS]
    for ago in _claimable_steps(rotates_every_s):
        if hmac.compare_digest(code, _code(handle, step - ago, key)):
            return max(ago, 0)
    return None


def claimable(handle: str, rotates_every_s: int, at: datetime, key: bytes) -> set[str]:
    """The codes of a handle that can be claimed now."""
    step = _step(at, rotates_every_s)
    return {_code(handle, step - ago, key) for ago in _claimable_steps(rotates_every_s)}


def _claimable_steps(rotates_every_s: int) -> range:
    return range(-1, OPENABLE_STEPS + -(-CLAIMABLE_FOR_S // rotates_every_s) + 1)


def _step(at: datetime, rotates_every_s: int) -> int:
    return int(at.timestamp()) // rotates_every_s


def _code(handle: str, step: int, key: bytes) -> str:
    return handle + code_of(b"turn %d of %s" % (step, handle.encode()), key)[HANDLE_CHARACTERS:]
