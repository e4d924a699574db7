"""`rewards person`: invitations and keys are shown once, and alone on standard output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.cli.main import rewards
from service.persons.errors import InvitationRefused
from tests.api_fixtures import Api
from tests.conftest import Database

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `rewards` with these arguments on the test's database."""
    monkeypatch.setenv("REWARDS_DATABASE_URL", database.application_url)
    monkeypatch.setenv("REWARDS_OWNER_DATABASE_URL", database.owner_url)
    runner = CliRunner()

    async def run(*arguments: object, **options: Any) -> Result:
        return await asyncio.to_thread(runner.invoke, rewards, [str(argument) for argument in arguments], **options)

    return run


async def test_a_person_is_invited_enrols_and_is_disabled(run: Run, api: Api) -> None:
    invited = await run("person", "invite", "lumen", "--name", "Ada", "--role", "auditor", "--role", "finance")
    assert invited.exit_code == 0, invited.output
    assert (await run("person", "list", "lumen")).stdout.split() == ["1", "invited", "Ada:", "auditor", "finance"]
    again = await run("person", "reinvite", "lumen", 1)
    refused = await run("person", "enrol", invited.stdout.strip())
    assert isinstance(refused.exception, InvitationRefused)
    enrolled = await run("person", "enrol", "-", input=again.stdout)
    assert enrolled.exit_code == 0, enrolled.output
    key = enrolled.stdout.strip()
    assert (await api.client(key=key).get("/v1/persons")).json()["items"][0]["state"] == "enrolled"
    disabled = await run("person", "disable", "lumen", 1)
    assert disabled.stdout == "Disabled Ada, and revoked their keys.\n"
    assert "disabled" in (await run("person", "list", "lumen")).stdout


async def test_a_key_is_made_by_role(run: Run, api: Api) -> None:
    made = await run("key", "create", "lumen", "--name", "POS", "--role", "redeemer", "--scope", "customers:read")
    meta = (await api.client(key=made.stdout.strip()).get("/v1/meta")).json()
    assert (meta["scopes"], meta["person"]) == (["customers:read", "redemptions:read", "redemptions:write"], None)
