"""Under which keys the book may have decided an offer: see decision 73."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ledger import event_key, offer_key
from service.campaigns.rules import Campaign
from service.offers.queries import Offer


def keys_of(campaign_no: int, group: str, numbers: Sequence[int]) -> tuple[bytes, ...]:
    """The keys of what claims an offer, or of its lapse, under each of the customer's numbers."""
    return tuple(offer_key(campaign_no=campaign_no, offer_group=group, customer=number) for number in numbers)


def keys_before(
    campaign: Campaign, offer: Offer, numbers: Sequence[int], act: tuple[str, str, str] | None = None
) -> tuple[bytes, ...]:
    """The keys of acts on an offer's messages that were decided before these were known to make it: of acts that count once a
    message, and of ``act`` (message, action, qualifier).
    """
    once = sorted({rule.action for rule in campaign.rules if rule.once_per == "message"})
    acts = [*([] if act is None else [act]), *itertools.product(offer.message_ids, once, [""])]
    return tuple(
        event_key(campaign_no=campaign.campaign_no, message_id=message_id, customer=number, action=action, qualifier=qualifier)
        for number in numbers
        for message_id, action, qualifier in dict.fromkeys(acts)
    )
