"""How an identity's state changes with proofs and withdrawals, and which texts are not stored as proof.

    state         verify with a new proof    verify with one that counts    verify with one withdrawn    unverify
    unverified    verified                   (none counts)                  refused                      nothing
    verified      another proof, kept        nothing                        refused                      unverified

The result does not depend on repeats or their order: an old proof that is sent again after its withdrawal does not count.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from service.customers.identities import IdentityKind, identity
from service.settings import IdentityKey

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|\+[\s().-]*[1-9](?:[\s().-]*[0-9]){6}")


class Step(enum.Enum):
    """What a proof or withdrawal leads to."""

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
    """What to do when the brand withdraws a proof."""
    return Step.NOTHING if verified_by is None else Step.WITHDRAW


def reveals_name(text: str, keys: Sequence[IdentityKey], brand_id: int, kind: IdentityKind, mac: bytes) -> bool:
    """Whether a text that we would store as it is contains an address or number, or is the name hashed as ``mac``."""
    spelled = [text, "+" + text.lstrip("+0")] if kind is IdentityKind.PHONE else [text]
    named = (identity(keys, brand_id, kind, each) for each in spelled)
    return _ADDRESS.search(text) is not None or any(
        mac == stored.mac for each in named if each is not None for stored in each.stored_as
    )
