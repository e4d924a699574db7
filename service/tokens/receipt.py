"""Claim receipts: how a customer's browser carries a decision from the claim to the page that shows it.

After a claim the browser is sent to ``/r/done/<receipt>``, so that the link's token leaves the address bar and a reload shows
the page again without claiming anything. A receipt says what was decided; it can claim nothing, and after a quarter
of an hour it no longer shows the balance to whoever finds it in a history.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.crypto.derived_keys import derived_keys
from service.settings import LinkKey
from service.tokens import sealing

LIFE_S = 15 * 60


class ClaimReceipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was decided on a claim, and what the page needs to say so and lead on.

    ``link_id``, or the key and the message of a page's link: what it is taken back with. A code's shows no balance.
    """

    brand: str
    destination_no: int
    campaign_no: int
    campaign_version: int
    page: str
    points: int
    balance: int | None
    issued_at: int
    link_id: bytes = b""
    made_by: int | None = None
    message_id: str = ""

    @property
    def is_of_code(self) -> bool:
        """Whether a printed code was claimed: nothing can be taken back by a link, and there was a campaign."""
        return not self.link_id and self.campaign_no > 0

    def is_fresh(self, now: int) -> bool:
        """Whether the balance may still be shown."""
        return now < self.issued_at + LIFE_S


def receipt_keys(keys: Sequence[LinkKey]) -> tuple[bytes, ...]:
    """One key for each link key, newest first."""
    return derived_keys(keys, "claim receipt 1")


def seal(receipt: ClaimReceipt, keys: Sequence[bytes]) -> str:
    """Make the receipt's text for a URL."""
    return sealing.seal(receipt, keys)


def unseal(text: str, keys: Sequence[bytes]) -> ClaimReceipt | None:
    """Give the receipt of a text that one of ``keys`` sealed."""
    return sealing.unseal(text, ClaimReceipt, keys)
