"""Links of the brand that `api` has."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from service.app import create_app
from service.settings import Settings
from tests.api_fixtures import BASE_URL, Api, make_brand, make_keys, make_secrets
from tests.dns_server import serving_dns
from tests.links.campaigns import make_campaign
from tests.links.wire import Wire

if TYPE_CHECKING:
    from tests.conftest import Database

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


@pytest.fixture
async def wired(database: Database, owner: asyncpg.Connection[Any], tmp_path: Path) -> AsyncGenerator[tuple[Links, Wire]]:
    """The service, and the wire between it and its database."""
    wire = Wire(database.application_url)
    brand = await make_brand(owner)
    keys = await make_keys(owner, brand)
    secrets = make_secrets()
    async with serving_dns() as dns:
        url = await wire.start()
        settings = Settings(database_url=url, base_url=BASE_URL, data_dir=str(tmp_path), dns_resolver=dns.address)
        app = create_app(settings, secrets)
        async with app.lifespan():
            api = Api(app=app, brand=brand, keys=keys, settings=settings, secrets=secrets, dns=dns)
            await make_campaign(api.client("admin"))
            yield Links(api), wire
            await api.close()
    await wire.stop()
