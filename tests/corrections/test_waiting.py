"""Corrections above a brand's limits wait for another person, and are carried out once."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from service.approvals.limits import Limit
from service.auth.roles import Role
from tests.api_fixtures import Api
from tests.approvals.test_approvals import decide, set_limits
from tests.corrections.test_adjustments import balance, care
from tests.corrections.test_claw_backs import granted
from tests.corrections.test_returns import CAMPAIGN, bought
from tests.people import client_of

__all__ = ["care"]


@pytest.fixture
async def people(care: Api, owner: asyncpg.Connection[Any]) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """An agent and an approver; 50 points pass, and 60 for a customer a day."""
    await set_limits(owner, Limit("adjustment", 50, None, 60), Limit("grant.clawback", 50))
    agent = await client_of(care, owner, Role.CARE, name="Ada")
    return agent, await client_of(care, owner, Role.APPROVER, name="Cy")


async def send(client: httpx.AsyncClient, path: str, key: str, **body: Any) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})


async def test_an_adjustment_above_a_limit_is_made_once_another_has_approved(
    care: Api, people: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    agent, approver = people
    given = {"customer": {"id": "c-1"}, "points": 51, "reason": "goodwill"}
    answer = await send(agent, "/v1/adjustments", "a-1", **given)
    waits = answer.json()
    assert (answer.status_code, waits["kind"], waits["amount"]) == (202, "adjustment", 51)
    assert await balance(care) == 100
    done = (await decide(approver, waits)).json()
    assert (done["state"], done["result"]["points"], done["result"]["balance"]) == ("executed", 51, 151)
    assert (await send(agent, "/v1/adjustments", "a-1", **given)).json()["state"] == "executed"
    assert await balance(care) == 151
    (made,) = (await agent.get("/v1/adjustments")).json()["items"]
    assert made["adjustment_id"] == done["result"]["adjustment_id"]


async def test_what_is_taken_counts_as_what_is_given_and_adds_up_for_a_customer(
    care: Api, people: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    agent, approver = people
    taken = {"customer": {"id": "c-1"}, "points": -40, "reason": "fraud"}
    assert (await send(agent, "/v1/adjustments", "a-1", **taken)).status_code == 201
    waits = await send(agent, "/v1/adjustments", "a-2", **taken)
    assert (waits.status_code, waits.json()["exceeds"]) == (202, "per_customer_day")
    (await send(care.client("storefront"), "/v1/redemptions", "r", customer={"id": "c-1"}, points=30, order_ref="o")).json()
    failed = (await decide(approver, waits.json())).json()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "insufficient_balance")
    assert await balance(care) == 30


async def test_a_claw_back_above_a_limit_waits(care: Api, people: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> None:
    agent, approver = people
    path = f"/v1/grants/{await granted(care)}/clawback"
    part = await send(agent, path, "k-1", reason="mistake", points=50)
    assert (part.status_code, part.json()["clawed_back"]) == (201, 50)
    whole = await send(agent, path, "k-2", reason="mistake")
    assert (whole.status_code, whole.json()["amount"]) == (202, 100)
    done = (await decide(approver, whole.json())).json()
    assert (done["state"], done["result"]["clawed_back"], await balance(care)) == ("executed", 50, 0)


async def test_a_return_above_the_limit_of_claw_backs_waits(
    care: Api, people: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    agent, approver = people
    (await care.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    grant = await bought(care, customer={"id": "c-2"})
    path, back = f"/v1/grants/{grant}/returns", {"reference": "r-1", "amount_minor": 1_999, "currency": "EUR"}
    waits = await agent.post(path, json=back)
    assert (waits.status_code, waits.json()["kind"], waits.json()["amount"]) == (202, "purchase.return", 59)
    other = await agent.post(path, json=back | {"amount_minor": 1_998})
    assert (other.status_code, other.json()["code"]) == (409, "return_exists")
    done = (await decide(approver, waits.json())).json()
    assert (done["state"], done["result"]["clawed_back"], done["result"]["balance"]) == ("executed", 59, 0)
    again = await agent.post(path, json=back)
    assert (again.status_code, again.json()["state"]) == (202, "executed")
