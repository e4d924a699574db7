"""Customers who may, or may not, be called.

called   ``api`` with a campaign that pays for calls, clicks and opens
other    a second API process on the same database, with caches of its own
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.api_fixtures import Api, another

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [
        {"action": "voice.call_completed", "channel": "voice", "points": 10},
        {"action": "click", "points": 5},
        {"action": "open", "points": 1, "min_evidence": "B"},
    ],
}
HEARD_S = 1.1
"""How long another process may go on with what it knew."""
CALL: dict[str, Any] = {"campaign": "autumn", "message_id": "call-1", "action": "voice.call_completed", "channel": "voice"}


@dataclass
class Called:
    """Reports calls, and says who may be called."""

    api: Api

    async def say(self, own_id: str, status: str, *, channel: str = "voice", **said: Any) -> dict[str, Any]:
        """What is answered to a statement about one customer and channel."""
        body = {"status": status, "source": "call centre"} | {name: _written(value) for name, value in said.items()}
        answer = await self.api.client("messaging").put(f"/v1/customers/{own_id}/consents/{channel}", json=body)
        return answer.raise_for_status().json()

    async def report(self, customer: dict[str, str], **changed: Any) -> httpx.Response:
        """Report a call, or what ``changed`` makes of it."""
        body = CALL | {"customer": customer} | {name: _written(value) for name, value in changed.items()}
        return await self.api.client("messaging").post("/v1/grants", json=body)

    async def outcome(self, customer: dict[str, str], **changed: Any) -> str:
        """What was decided, or why nothing was."""
        answer = (await self.report(customer, **changed)).raise_for_status().json()
        return answer["reason"] or answer["outcome"]

    async def consents(self, own_id: str, **page: Any) -> dict[str, Any]:
        """What is known of where she may be contacted."""
        answer = await self.api.client("storefront").get(f"/v1/customers/{own_id}/consents", params=page)
        return answer.raise_for_status().json()

    async def list(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        """Say it of many."""
        answer = await self.api.client("messaging").post("/v1/consents/batch", json=items)
        return answer.raise_for_status().json()["results"]


def _written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.fixture
async def called(api: Api) -> Called:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return Called(api)


@pytest.fixture
async def other(called: Called) -> AsyncGenerator[Called]:
    async with another(called.api) as other:
        yield Called(other)
