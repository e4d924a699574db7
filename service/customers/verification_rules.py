"""What becomes of an identity's state when the brand sends proof, or takes it back; and what may not be kept as proof.

    state         verify with a new proof    verify with one that counts    verify with one withdrawn    unverify
    unverified    verified                   (none counts)                  refused                      nothing
    verified      another proof, kept        nothing                        refused                      unverified

So whatever is sent twice, in whichever order its copies arrive, ends the same: a copy of an old proof that comes after it was
withdrawn does not bring it back.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from service.customers.identities import IdentityKind, identity
from service.settings import IdentityKey

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|\+[\s().-]*[1-9](?:[\s().-]*[0-9]){6}")


class Step(enum.Enum):
    """What is to be done."""

    VERIFY = enum.auto()
    ADD_PROOF = enum.auto()
    WITHDRAW = enum.auto()
    NOTHING = enum.auto()
    REFUSE = enum.auto()


def on_proof(verified_by: int | None, recorded_as: int | None) -> Step:
    """What to do about a proof.

    ``verified_by`` is the number of the first proof since the last withdrawal, ``None`` while unverified; ``recorded_as`` is
    the number of this same proof where it was recorded before. Numbers ascend.
    """
    if recorded_as is None:
        return Step.VERIFY if verified_by is None else Step.ADD_PROOF
    return Step.REFUSE if verified_by is None or recorded_as < verified_by else Step.NOTHING


def on_withdrawal(verified_by: int | None) -> Step:
    """What to do when the brand says that the name is not hers."""
    return Step.NOTHING if verified_by is None else Step.WITHDRAW


def reveals_name(text: str, keys: Sequence[IdentityKey], brand_id: int, kind: IdentityKind, mac: bytes) -> bool:
    """Whether a text that is to be kept as it is holds an address or number, or is the very name that is kept as ``mac``."""
    spelled = [text, "+" + text.lstrip("+0")] if kind is IdentityKind.PHONE else [text]
    named = (identity(keys, brand_id, kind, each) for each in spelled)
    return _ADDRESS.search(text) is not None or any(
        mac == stored.mac for each in named if each is not None for stored in each.stored_as
    )
