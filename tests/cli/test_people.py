"""`rewards person` and `rewards approval`: invitations and keys are shown once, and alone on standard output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.approvals.errors import LimitsInvalid
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


async def test_limits_are_set_by_the_operator_and_replace_all_there_were(run: Run, api: Api) -> None:
    set_ = await run("approval", "set-limits", "lumen", "--limit", "campaign.fund:per_request=100:per_customer_day=5")
    assert set_.stdout == "lumen has version 1 of its limits, for 1 kinds.\n", set_.output
    shown = (await api.client("admin").get("/v1/approval-limits")).json()
    assert shown["limits"] == [{"kind": "campaign.fund", "per_request": 100, "per_maker_day": None, "per_customer_day": 5}]
    await run("approval", "set-limits", "lumen", "--expires-after-days", 3)
    shown = (await api.client("admin").get("/v1/approval-limits")).json()
    assert (shown["version"], shown["expires_after_days"], shown["limits"]) == (2, 3, [])


@pytest.mark.parametrize(
    "limits",
    [
        ["campaign.fund"],
        ["campaign.fund:per_request"],
        ["campaign.fund:per_request=-1"],
        ["campaign.fund:per_request=1:per_request=2"],
        ["campaign.fund:per_day=1"],
        ["campaign.fund:per_request=10000000000000000000"],
        ["nothing:per_request=1"],
        ["campaign.fund:per_request=1", "campaign.fund:per_request=2"],
    ],
)
async def test_limits_that_are_not_understood_change_nothing(run: Run, api: Api, limits: list[str]) -> None:
    result = await run("approval", "set-limits", "lumen", *(part for limit in limits for part in ("--limit", limit)))
    assert isinstance(result.exception, LimitsInvalid)
    assert (await api.client("admin").get("/v1/approval-limits")).json()["version"] == 0
