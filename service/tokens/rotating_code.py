"""Screens: a code that is another one every so many seconds, so that whoever has it is in front of the screen that shows it.

    handle_of  the part of the code that stays: it says which batch it is, and is what is looked up
    shown_at   the code that a screen shows at an instant
    turns_ago  how long ago a code was shown, or that it was not recently
    claimable  the codes that can be claimed at an instant
    seal_name  what a screen asks its picture by: who has that has every code to come

Eight characters of a code are the handle, eight are the turn's: 40 bits of an HMAC-SHA-256 over the handle and the number of
the turn, under the key of codes. Nothing is stored for a turn, and to draw one nothing is looked up.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime

import msgspec

from service.settings import LinkKey
from service.tokens import sealing
from service.tokens.code import code_of

HANDLE_CHARACTERS = 8
LOOKED_AT_TURNS = 1
"""So many turns after its own a code can still be opened: it takes a moment to find the camera."""
CLAIMED_WITHIN_S = 600
"""So long after that it can be claimed: whoever has opened it has to type."""


class Screen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What it takes to draw a screen's code at any time."""

    handle: str
    rotates_every_s: int
    kid: str


def screen_keys(keys: Sequence[LinkKey]) -> tuple[bytes, ...]:
    """One key for each link key, newest first."""
    return sealing.sealing_keys(keys, "screen 1")


def seal_name(screen: Screen, keys: Sequence[bytes]) -> str:
    """What its picture is asked for by."""
    return sealing.seal(screen, keys)


def unseal_name(name: str, keys: Sequence[bytes]) -> Screen | None:
    """The screen that a picture is asked for."""
    return sealing.unseal(name, Screen, keys)


def handle_of(brand_id: int, batch_id: str, key: bytes) -> str:
    """The part of a batch's codes that stays."""
    return code_of(b"screen %d %s" % (brand_id, batch_id.encode()), key)[:HANDLE_CHARACTERS]


def shown_at(screen: Screen, at: datetime, key: bytes) -> str:
    """The code that a screen shows."""
    return _code(screen.handle, _turn(at, screen.rotates_every_s), key)


def shown_for_s(screen: Screen, at: datetime) -> int:
    """How many whole seconds a screen goes on to show it, at least one."""
    return screen.rotates_every_s - int(at.timestamp()) % screen.rotates_every_s


def turns_ago(code: str, rotates_every_s: int, at: datetime, key: bytes) -> int | None:
    """How many turns ago a code was shown; ``None`` if it cannot be claimed any more, or never could be.

    The clock of whoever drew it may be a little ahead: of the next turn it says 0.
    """
    turn, handle = _turn(at, rotates_every_s), code[:HANDLE_CHARACTERS]
    for ago in _claimable_turns(rotates_every_s):
        if hmac.compare_digest(code, _code(handle, turn - ago, key)):
            return max(ago, 0)
    return None


def claimable(handle: str, rotates_every_s: int, at: datetime, key: bytes) -> set[str]:
    """The codes of a screen that can be claimed now."""
    turn = _turn(at, rotates_every_s)
    return {_code(handle, turn - ago, key) for ago in _claimable_turns(rotates_every_s)}


def _claimable_turns(rotates_every_s: int) -> range:
    return range(-1, LOOKED_AT_TURNS + -(-CLAIMED_WITHIN_S // rotates_every_s) + 1)


def _turn(at: datetime, rotates_every_s: int) -> int:
    return int(at.timestamp()) // rotates_every_s


def _code(handle: str, turn: int, key: bytes) -> str:
    return handle + code_of(b"turn %d of %s" % (turn, handle.encode()), key)[HANDLE_CHARACTERS:]
