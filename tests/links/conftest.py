"""Links of the brand that `api` has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.api_fixtures import BASE_URL, Api
from tests.links.campaigns import make_campaign

EMAIL = "someone@mail.example"


@dataclass
class Links:
    """Mints links for the campaign ``autumn`` and follows them."""

    api: Api

    def item(self, customer: str = "C-1001", **changed: Any) -> dict[str, Any]:
        """A link to mint."""
        item = {
            "campaign": "autumn",
            "message_id": "newsletter-0412",
            "customer": {"id": customer},
            "action": "click",
            "channel": "email",
            "destination": "https://shop.example/autumn",
            **changed,
        }
        return {name: value for name, value in item.items() if value is not None}

    async def mint(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        """What became of each item."""
        answer = await self.api.client("messaging").post("/v1/links", json={"links": items})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    async def path(self, customer: str = "C-1001", **changed: Any) -> str:
        """The path of a new link."""
        [result] = await self.mint(self.item(customer, **changed))
        assert result["status"] in {200, 201}, result
        return result["url"].removeprefix(BASE_URL)

    async def balance(self, customer: str = "C-1001") -> int:
        """What the customer can spend."""
        answer = await self.api.client("storefront").get(f"/v1/customers/{customer}/balance")
        return answer.raise_for_status().json()["balance"]


@pytest.fixture
async def links(api: Api) -> Links:
    """The campaign ``autumn`` pays 25 for a click."""
    await make_campaign(api.client("admin"))
    return Links(api)
