"""Persons who work for the test's brand, each with a key of their own."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg
import httpx

from service.auth.roles import Role
from service.persons import actions
from tests.api_fixtures import Api

Owner: TypeAlias = "asyncpg.Connection[Any]"


async def invited(owner: Owner, *roles: Role, name: str = "Ada", brand: str = "lumen") -> actions.Invitation:
    """Invite a person as the command line would."""
    return await actions.invite(owner, brand, name, roles or (Role.FINANCE,))


async def enrol(api: Api, invitation: str) -> httpx.Response:
    """Enrol with an invitation, as a person would."""
    return await api.client(None).post("/v1/persons/enrol", json={"invitation": invitation})


async def enrolled(api: Api, owner: Owner, *roles: Role, name: str = "Ada") -> dict[str, Any]:
    """A person and their key, as they are shown to them."""
    answer = await enrol(api, (await invited(owner, *roles, name=name)).text)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def client_of(api: Api, owner: Owner, *roles: Role, name: str = "Ada") -> httpx.AsyncClient:
    """A client with the key of a new person."""
    return api.client(key=(await enrolled(api, owner, *roles, name=name))["key"])
