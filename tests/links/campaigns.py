"""A campaign to test links with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx


async def make_campaign(admin: httpx.AsyncClient, *, points: int = 25, budget: int = 1_000_000, **changed: Any) -> None:
    """Create and fund the campaign ``autumn``, which pays for clicks in email and for replies anywhere."""
    now = datetime.now(UTC)
    campaign: dict[str, Any] = {
        "id": "autumn",
        "name": "Autumn thank-you",
        "starts_at": (now - timedelta(days=1)).isoformat(),
        "ends_at": (now + timedelta(days=30)).isoformat(),
        "budget": budget,
        "rules": [
            {"action": "click", "channel": "email", "points": points},
            {"action": "reply", "points": 2 * points},
        ],
        **changed,
    }
    (await admin.post("/v1/campaigns", json=campaign)).raise_for_status()
