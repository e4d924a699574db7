"""Offers of the brand that `api` has: the campaign ``autumn`` makes them, and ``winter`` makes none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.api_fixtures import Api
from tests.ingest.conftest import agent_services, issuer, reader
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.messages.conftest import Json, message, register

__all__ = ["agent_services", "issuer", "reader"]

RULES = [
    {"action": "click", "points": 25},
    {"action": "reply", "points": 50},
    {"action": "open", "points": 1, "min_evidence": "C"},
]


@pytest.fixture
async def links(api: Api) -> Links:
    """Mints links of ``autumn``."""
    await make_campaign(api.client("admin"), offers=True, rules=RULES)
    await make_campaign(api.client("admin"), id="winter", rules=RULES)
    return Links(api)


async def offer(api: Api, *message_ids: str, group: str = "o-1", customer: str = "C-1", **changed: Any) -> list[Json]:
    """Offer the same by several messages."""
    return await register(api, *(message(each, customer, offer_group=group, **changed) for each in message_ids))


async def act(api: Api, message_id: str, action: str = "click", customer: str = "C-1", **changed: Any) -> Json:
    """What a report of an act is answered."""
    item = {"campaign": "autumn", "message_id": message_id, "customer": {"id": customer}, "action": action, "channel": "sms"}
    answer = await api.client("messaging").post("/v1/grants", json=item | changed)
    return answer.raise_for_status().json()


def short(answer: Mapping[str, Any]) -> tuple[str, str | None, int]:
    """What was decided, why, and what it paid."""
    return answer["outcome"], answer["reason"], answer["points"]


CLAIMED = ("ignored", "offer_claimed", 0)
