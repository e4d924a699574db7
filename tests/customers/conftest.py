"""A second API process on the same database, with caches of its own.

other    like ``api``; what it remembers of customers is its own
funded   ``api`` with a campaign that pays
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.api_fixtures import Api, another

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "open", "points": 1}, {"action": "click", "points": 5}, {"action": "signup", "points": 100}],
}


@pytest.fixture
async def funded(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


@pytest.fixture
async def other(funded: Api) -> AsyncGenerator[Api]:
    async with another(funded) as other:
        yield other
