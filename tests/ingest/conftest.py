"""Sources, and keys that set them up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, TypeAlias

import asyncpg
import httpx
import msgspec
import pytest

from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.ingest.envelope_reader import EnvelopeReader
from service.providers.generic import standard_webhooks
from service.providers.registry import ADAPTERS
from service.providers.types import Trust
from service.services import Services, open_for_agents
from tests.api_fixtures import Api
from tests.links.conftest import links, wired

__all__ = ["links", "wired"]

Owner: TypeAlias = "asyncpg.Connection[Any]"


@pytest.fixture
async def issuer(api: Api, owner: Owner) -> httpx.AsyncClient:
    """The client of a key that sets sources up, and may claim any evidence."""
    scopes = [Scope.SOURCES_WRITE, Scope.SOURCES_READ]
    return api.client(key=(await create_key(owner, "lumen", "issuer", scopes, "A"))[0])


@pytest.fixture
def pigeon_post(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that may come without any proof."""
    adapter = msgspec.structs.replace(
        standard_webhooks.ADAPTER, name="pigeon_post", title="Pigeon post", trust=Trust.SHARED_SECRET
    )
    monkeypatch.setitem(ADAPTERS, "pigeon_post", adapter)


@pytest.fixture
async def agent_services(api: Api) -> AsyncGenerator[Services]:
    """What a worker has."""
    async with open_for_agents(api.settings, api.secrets) as services:
        yield services


@pytest.fixture
def reader(agent_services: Services) -> EnvelopeReader:
    """The agent of a worker."""
    return EnvelopeReader(agent_services)


async def make_source(client: httpx.AsyncClient, sender: Any, **fields: Any) -> dict[str, Any]:
    """Set up a source for a sender of ``senders``."""
    wanted = {"provider": sender.provider, "name": sender.provider, "secrets": sender.secrets, **fields}
    answer = await client.post("/v1/sources", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()
