"""The API, running in this process on a database of its own, with a brand and seven keys.

api     `.client("messaging")` is an HTTP client with that key; `None` sends no key; `.brand`, `.keys`, `.app`, `.dns`
"""

from __future__ import annotations

import contextlib
import functools
import secrets as random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from litestar import Litestar

from service.auth.actions import create_key
from service.auth.scopes import DUTIES, Scope
from service.brands.actions import create_brand
from service.brands.brand import Brand
from service.services import Services
from service.settings import IdentityKey, LinkKey, Secrets, Settings
from service.storage.database import connect
from tests.dns_server import DnsServer, serving_dns
from tests.processes import InTurns, processes, remember_shortly, serving
from tests.reused_database import ReusedDatabase

if TYPE_CHECKING:
    from tests.conftest import Database

BASE_URL = "http://rewards.test"

KEYS: dict[str, tuple[Sequence[str], str]] = {
    "admin": ([scope for scope in Scope if scope not in DUTIES[0] | DUTIES[2] | DUTIES[3]], "A"),
    "messaging": (
        [
            Scope.GRANTS_WRITE,
            Scope.GRANTS_READ,
            Scope.LINKS_WRITE,
            Scope.CAMPAIGNS_READ,
            Scope.CUSTOMERS_READ,
            Scope.CUSTOMERS_WRITE,
            Scope.EVENTS_READ,
        ],
        "A",
    ),
    "storefront": ([Scope.REDEMPTIONS_WRITE, Scope.REDEMPTIONS_READ, Scope.RETURNS_WRITE, Scope.CUSTOMERS_READ], "A"),
    "finance": (
        [
            Scope.LEDGER_READ,
            Scope.EXPORTS_WRITE,
            Scope.FUNDS_WRITE,
            Scope.CAMPAIGNS_READ,
            Scope.REDEMPTIONS_READ,
            Scope.EVENTS_READ,
            Scope.CUSTOMERS_READ,
        ],
        "A",
    ),
    "approver": ([Scope.GRANTS_APPROVE, Scope.GRANTS_READ, Scope.CAMPAIGNS_READ, Scope.CUSTOMERS_READ], "A"),
    "care": ([Scope.CORRECTIONS_WRITE, Scope.GRANTS_READ, Scope.CUSTOMERS_READ], "A"),
    "minter": ([Scope.LINKS_WRITE, Scope.KEYS_WRITE], "A"),
}
"""Each key's scopes and the strongest evidence it may claim."""


@dataclass
class Api:
    """The running application, and clients of it.

    When the tests run against several (see ``processes``), ``app`` is the first, and ``served`` gives requests to all in turns.
    """

    app: Litestar
    brand: Brand
    keys: dict[str, str]
    settings: Settings
    secrets: Secrets
    dns: DnsServer = field(default_factory=DnsServer)
    served: Any = None
    _clients: dict[str | None, httpx.AsyncClient] = field(default_factory=dict[str | None, httpx.AsyncClient])

    @property
    def services(self) -> Services:
        """What the application works with."""
        return self.app.state.services

    def client(self, key_name: str | None = None, *, key: str | None = None) -> httpx.AsyncClient:
        """An HTTP client that sends the key of this name, or the text of any key."""
        sent = key or (self.keys[key_name] if key_name else None)
        if sent not in self._clients:
            self._clients[sent] = httpx.AsyncClient(
                transport=httpx.ASGITransport(app=self.served or self.app),  # pyright: ignore[reportArgumentType]
                base_url=BASE_URL,
                headers={"Authorization": f"Bearer {sent}"} if sent else {},
            )
        return self._clients[sent]

    async def close(self) -> None:
        """Close all clients."""
        for client in self._clients.values():
            await client.aclose()


async def make_brand(owner: asyncpg.Connection[Any], code: str = "lumen", **changed: Any) -> Brand:
    """Create a brand as the command line would."""
    described: dict[str, Any] = {
        "name": "Lumen",
        "mode": "test",
        "points_code": "LUM",
        "points_name": "Lumens",
        "currency": "EUR",
        "time_zone": "Europe/Berlin",
        "destination_hosts": ["shop.example"],
    }
    return await create_brand(owner, code=code, **described | changed)


async def make_keys(owner: asyncpg.Connection[Any], brand: Brand) -> dict[str, str]:
    """Make the keys for a brand; returns their texts by name."""
    return {
        name: (await create_key(owner, brand.code, name, scopes, max_evidence))[0]
        for name, (scopes, max_evidence) in KEYS.items()
    }


async def _make_brand_and_keys(database: Database) -> tuple[Brand, dict[str, str]]:
    owner = await connect(database.owner_url)
    brand = await make_brand(owner)
    keys = await make_keys(owner, brand)
    await owner.close()
    return brand, keys


async def have_link_host(api: Api, link_base_url: str | None, key: str | None = None) -> None:
    """Claim a link host for the brand of a key, publish its record, and have it verified."""
    admin = api.client("admin") if key is None else api.client(key=key)
    answer = await admin.patch("/v1/brand", json={"link_base_url": link_base_url})
    answer.raise_for_status()
    if (link_host := answer.json()["link_host"]) is not None:
        record = link_host["dns_record"]
        api.dns.publish(record["name"], record["value"])
        verified = await admin.post("/v1/brand/link-host/verify")
        assert verified.json()["state"] == "verified", verified.text


@contextlib.asynccontextmanager
async def another(api: Api) -> AsyncGenerator[Api]:
    """Another process on the same database, with caches of its own."""
    async with serving(api.settings, api.secrets, 1) as (app,):
        other = Api(app=app, brand=api.brand, keys=api.keys, settings=api.settings, secrets=api.secrets, dns=api.dns)
        yield other
        await other.close()


def make_secrets() -> Secrets:
    """Make secrets for one test."""
    return Secrets(
        identity_keys=(IdentityKey(key_no=1, key=random.token_bytes(32)),),
        link_keys=(LinkKey(kid="test-1", private_key=random.token_bytes(32)),),
    )


@pytest.fixture
def remembers_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is known after ``REMEMBERED_S``: ``usefixtures("remembers_shortly")`` puts it before ``api``."""
    remember_shortly(monkeypatch)


@pytest.fixture
async def api(
    request: pytest.FixtureRequest, database: Database, reused_database: ReusedDatabase, tmp_path: Path
) -> AsyncGenerator[Api]:
    """The API with the brand ``lumen`` and its keys."""
    brand, keys = await reused_database.having(database, functools.partial(_make_brand_and_keys, database))
    secrets = make_secrets()
    async with serving_dns() as dns:
        settings = Settings(
            database_url=database.application_url,
            base_url=BASE_URL,
            demo=True,
            data_dir=str(tmp_path),
            dns_resolver=dns.address,
        )
        async with serving(settings, secrets, processes(request)) as apps:
            served = InTurns(apps) if len(apps) > 1 else None
            api = Api(app=apps[0], brand=brand, keys=keys, settings=settings, secrets=secrets, dns=dns, served=served)
            yield api
            await api.close()
