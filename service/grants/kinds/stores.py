"""Which store a report is of: where a campaign has a budget for each store, it counts there.

It is kept with the event, beside what the reporter wants to keep, where lists find it.
"""

from __future__ import annotations

import msgspec

from service.campaigns.rules import Campaign
from service.grants.schemas import GrantRequest
from service.http.problems import Problem, invalid_field

KEPT_AS = "store_id"
"""The member of an event's metadata that names the store."""


def at_its_store(item: GrantRequest) -> GrantRequest | Problem:
    """The report with its store in what is kept of it."""
    kept = item.metadata or {}
    if kept.get(KEPT_AS, item.store_id) != item.store_id:
        return invalid_field(f"/metadata/{KEPT_AS}", "is another store than store_id")
    return msgspec.structs.replace(item, metadata={KEPT_AS: item.store_id} | kept)


def missing(campaign: Campaign, action: str, channel: str) -> Problem | None:
    """What is wrong with a report that names no store."""
    if any(cap.per == "store" and cap.covers(action, channel) for cap in campaign.caps):
        return invalid_field("/store_id", "is required: the campaign has a budget for each store")
    return None


def store_of(metadata: str | None) -> str | None:
    """The store of an event of which ``metadata`` is kept."""
    return None if metadata is None else msgspec.json.decode(metadata).get(KEPT_AS)
