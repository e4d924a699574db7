"""Corrections of many above a brand's limits wait for another person, who approves of exactly their lines."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service.approvals.limits import Limit
from service.auth.roles import Role
from tests.api_fixtures import Api
from tests.approvals.test_approvals import decide, set_limits
from tests.corrections.test_adjustments import balance, care
from tests.corrections.test_claw_backs import granted
from tests.corrections.test_jobs import Shown, lines_of, shown, work
from tests.people import Owner, client_of

__all__ = ["care"]


@pytest.fixture
async def agent(care: Api, owner: Owner) -> httpx.AsyncClient:
    return await client_of(care, owner, Role.CARE, name="Ada")


@pytest.fixture
async def approver(care: Api, owner: Owner) -> httpx.AsyncClient:
    return await client_of(care, owner, Role.APPROVER, name="Cy")


async def checked(api: Api, client: httpx.AsyncClient, lines: list[dict[str, Any]], key: str = "o-1") -> Shown:
    headers = {"Idempotency-Key": key}
    answer = await client.post("/v1/corrections/batch?reason=goodwill", json=lines, headers=headers)
    assert answer.status_code == 202, answer.text
    await work(api)
    return await shown(api, answer.json()["id"])


async def start(client: httpx.AsyncClient, job: Shown) -> httpx.Response:
    return await client.post(f"/v1/corrections/{job['id']}/start")


def gives(*points: int) -> list[dict[str, Any]]:
    return [{"customer": {"id": f"d-{n}"}, "points": each} for n, each in enumerate(points)]


@pytest.fixture
async def people(care: Api) -> None:
    for n in range(4):
        await granted(care, f"mail-{n}", customer={"id": f"d-{n}"})


@pytest.mark.usefixtures("people")
async def test_above_a_limit_another_person_approves_of_the_lines(
    care: Api, owner: Owner, agent: httpx.AsyncClient, approver: httpx.AsyncClient
) -> None:
    await set_limits(owner, Limit("correction", 20))
    job = await checked(care, agent, gives(10, 11))
    answer = await start(agent, job)
    waits = answer.json()
    assert (answer.status_code, waits["kind"], waits["subject"], waits["amount"]) == (202, "correction", job["id"], 21)
    assert waits["request"] == {
        "correction": job["id"],
        "reason": "goodwill",
        "campaign": None,
        "lines": 2,
        "customers": 2,
        "taken": 0,
        "given": 21,
        "shortfall": 0,
        "lines_sha256": job["lines_sha256"],
    }
    assert (await start(agent, job)).json() == waits
    await work(care)
    waiting = await shown(care, job["id"])
    assert (waiting["status"], waiting["approval"], waiting["made"]["lines"]) == ("checked", waits["id"], 0)
    assert len((await approver.get(f"/v1/corrections/{job['id']}/lines")).json()["items"]) == 2
    done = (await decide(approver, waits)).json()
    assert (done["state"], done["result"]["status"]) == ("executed", "running")
    await work(care)
    assert (await shown(care, job["id"]))["made"]["points"]["given"] == 21
    assert (await start(agent, job)).json()["status"] == "done"
    assert await balance(care, "d-1") == 111


@pytest.mark.usefixtures("people")
async def test_lines_that_are_not_those_that_were_approved_are_not_carried_out(
    care: Api, owner: Owner, agent: httpx.AsyncClient, approver: httpx.AsyncClient
) -> None:
    await set_limits(owner, Limit("correction", 0))
    job = await checked(care, agent, gives(1, 1))
    waits = (await start(agent, job)).json()
    await owner.execute("UPDATE rewards.correction_line SET points = 50 WHERE line_no = 2")
    failed = (await decide(approver, waits)).json()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "correction_changed")
    await work(care)
    assert await balance(care, "d-1") == 100
    other = await checked(care, agent, gives(2, 2), "o-2")
    waits = (await start(agent, other)).json()
    await agent.post(f"/v1/corrections/{other['id']}/cancel")
    failed = (await decide(approver, waits)).json()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "correction_ended")
    assert [line["state"] for line in await lines_of(care, other)] == ["checked", "checked"]


@pytest.mark.usefixtures("people")
async def test_a_job_counts_with_its_sum_as_its_lines_would(care: Api, owner: Owner, agent: httpx.AsyncClient) -> None:
    await set_limits(owner, Limit("adjustment", 20, 30), Limit("grant.clawback", 50))
    more = await start(agent, await checked(care, agent, gives(10, 11)))
    assert (more.status_code, more.json()["exceeds"]) == (202, "per_request")
    assert (await start(agent, await checked(care, agent, gives(10, 10), "o-2"))).status_code == 200
    again = await start(agent, await checked(care, agent, gives(5, 6), "o-3"))
    assert (again.status_code, again.json()["exceeds"]) == (202, "per_maker_day")
    single = {"customer": {"id": "d-3"}, "points": 11, "reason": "goodwill"}
    waits = await agent.post("/v1/adjustments", json=single, headers={"Idempotency-Key": "a"})
    assert (waits.status_code, waits.json()["exceeds"]) == (202, "per_maker_day")
    grants = [await granted(care, f"letter-{n}", customer={"id": f"e-{n}"}) for n in range(3)]
    back = await start(agent, await checked(care, agent, [{"grant_id": each, "points": 17} for each in grants], "o-4"))
    assert (back.status_code, back.json()["exceeds"], back.json()["amount"]) == (202, "per_request", 51)
    within = await start(agent, await checked(care, agent, [{"grant_id": each, "points": 16} for each in grants], "o-5"))
    assert within.status_code == 200


@pytest.mark.usefixtures("people")
async def test_a_job_counts_for_each_of_its_customers(care: Api, owner: Owner, agent: httpx.AsyncClient) -> None:
    await set_limits(owner, Limit("adjustment", None, None, 20))
    assert (await start(agent, await checked(care, agent, gives(15, 5)))).status_code == 200
    more = await start(agent, await checked(care, agent, gives(5, 16), "o-2"))
    assert (more.status_code, more.json()["exceeds"]) == (202, "per_customer_day")
    single = {"customer": {"id": "d-0"}, "points": 6, "reason": "goodwill"}
    waits = await agent.post("/v1/adjustments", json=single, headers={"Idempotency-Key": "a"})
    assert (waits.status_code, waits.json()["exceeds"]) == (202, "per_customer_day")
    within = await agent.post("/v1/adjustments", json=single | {"points": 5}, headers={"Idempotency-Key": "b"})
    assert within.status_code == 201


@pytest.mark.usefixtures("people")
async def test_who_may_approve_does_not_start_what_another_has_listed(
    care: Api, owner: Owner, agent: httpx.AsyncClient
) -> None:
    await set_limits(owner, Limit("correction", 0))
    job = await checked(care, agent, gives(1))
    other = await client_of(care, owner, Role.CARE, name="Ben")
    answer = await start(other, job)
    assert (answer.status_code, answer.json()["code"]) == (403, "another_maker")
