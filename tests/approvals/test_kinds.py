"""The kinds of request that brands' settings have, and that every kind can be asked for, stored and carried out."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from ledger import PointValue
from service.approvals.actions import carry_out
from service.approvals.kinds import AnyKind, digest_of
from service.approvals.limits import Limit
from service.approvals.queries import find_approval
from service.auth.roles import Role
from service.brand_settings.approvals import change_of
from service.services import APPROVAL_KINDS
from service.storage.database import APPLICATION_ROLE, connect
from tests.api_fixtures import Api
from tests.approvals.test_approvals import CAMPAIGN, Owner, approve_only, decide, fund, set_limits, tools
from tests.conftest import Database
from tests.people import client_of

CENT = {"points": 1, "minor_units": 1}
DOCUMENT = Path(__file__).parents[2] / "docs/approvals.md"


@pytest.fixture
async def checker(api: Api, owner: Owner) -> httpx.AsyncClient:
    return await client_of(api, owner, Role.APPROVER, name="Cy")


async def patch(api: Api, **changed: Any) -> httpx.Response:
    return await api.client("admin").patch("/v1/brand", json=changed)


async def value(api: Api) -> tuple[Any, Any]:
    shown = (await api.client("admin").get("/v1/brand")).json()
    return shown["point_value"], shown["point_value_version"]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (None, (1, 1), 10_000),
        ((100, 100), (1, 1), 0),
        ((100, 50), (100, 51), 200),
        ((100, 51), (100, 50), 197),
        ((1, 1), (3, 1), 6_667),
        ((1, 10**9), (10**9, 1), 10_000),
        ((10**9, 1), (1, 10**9), 10**18),
    ],
)
def test_a_value_changes_by_hundredths_of_a_percent_rounded_up(
    before: tuple[int, int] | None, after: tuple[int, int], change: int
) -> None:
    assert change_of(None if before is None else PointValue(*before), PointValue(*after)) == change


async def test_a_value_that_changes_by_more_than_the_limit_waits(api: Api, owner: Owner, checker: httpx.AsyncClient) -> None:
    assert (await patch(api, point_value={"points": 100, "minor_units": 50})).status_code == 200
    await set_limits(owner, Limit("brand.point_value", per_request=200))
    assert (await patch(api, point_value={"minor_units": 51}, name="Lumen & Co")).status_code == 200
    answer = await patch(api, point_value={"minor_units": 53})
    waits = answer.json()
    assert (answer.status_code, waits["kind"], waits["amount"]) == (202, "brand.point_value", 393)
    assert waits["request"] == {"points": 100, "minor_units": 53, "replaces": 2}
    assert await value(api) == ({"points": 100, "minor_units": 51}, 2)
    done = (await decide(checker, waits)).json()
    assert (done["state"], done["result"]) == ("executed", {"points": 100, "minor_units": 53})
    assert await value(api) == ({"points": 100, "minor_units": 53}, 3)


async def test_a_value_that_waits_is_changed_alone(api: Api, owner: Owner) -> None:
    await patch(api, point_value=CENT)
    await set_limits(owner, Limit("brand.point_value", per_request=0))
    before = (await api.client("admin").get("/v1/brand")).json()
    others: list[dict[str, Any]] = [
        {"name": "x"},
        {"goals": [{"name": "x", "points": 1}]},
        {"destination_hosts": []},
        {"language": "de"},
    ]
    for more in others:
        answer = await patch(api, point_value={"points": 2}, **more)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/point_value"), more
    assert (await api.client("admin").get("/v1/brand")).json() == before
    whole = await api.client("admin").put("/v1/brand", json=before | {"point_value": {"points": 2, "minor_units": 1}})
    assert whole.status_code == 202, whole.text
    assert (await api.client("admin").put("/v1/brand", json=before | {"name": "x"})).status_code == 200


async def test_a_value_is_not_replaced_by_one_that_was_asked_for_before_it(
    api: Api, owner: Owner, checker: httpx.AsyncClient
) -> None:
    await patch(api, point_value=CENT)
    await set_limits(owner, Limit("brand.point_value", per_request=5_000))
    waits = (await patch(api, point_value={"points": 3})).json()
    await patch(api, point_value={"points": 2})
    done = (await decide(checker, waits)).json()
    assert (done["state"], done["error"]["code"]) == ("failed", "point_value_changed")
    assert await value(api) == ({"points": 2, "minor_units": 1}, 2)


async def test_an_approved_value_is_set_once_however_often_it_is_carried_out(
    api: Api, owner: Owner, checker: httpx.AsyncClient
) -> None:
    await patch(api, point_value=CENT)
    await set_limits(owner, Limit("brand.point_value", per_request=5_000))
    waits = (await patch(api, point_value={"points": 3})).json()
    await approve_only(api, owner, checker, waits)
    approved = await find_approval(api.services.engine, api.brand.brand_id, int(waits["id"].removeprefix("apr_")))
    assert approved is not None
    # As a worker would that read it before another carried it out, and after a newer value was set.
    await carry_out(tools(api), APPROVAL_KINDS, approved)
    await patch(api, point_value={"points": 2})
    await asyncio.gather(*(carry_out(tools(api), APPROVAL_KINDS, approved) for _ in range(3)))
    assert await value(api) == ({"points": 2, "minor_units": 1}, 3)
    await patch(api, point_value={"points": 4})
    assert (await decide(checker, waits)).json()["state"] == "executed"
    assert await value(api) == ({"points": 4, "minor_units": 1}, 4)


async def test_how_much_may_be_issued_takes_two(api: Api, owner: Owner, checker: httpx.AsyncClient) -> None:
    admin = api.client("admin")
    before = (await admin.get("/v1/brand/issue-limit")).json()
    assert before == {"points": 10**12, "issued": 0}
    answer = await admin.put("/v1/brand/issue-limit", json={"points": 10**12 + 5})
    waits = answer.json()
    assert (answer.status_code, waits["exceeds"], waits["request"]) == (
        202,
        "always",
        {"points": 10**12 + 5, "replaces": 10**12},
    )
    assert (await admin.get("/v1/brand/issue-limit")).json() == before
    done = (await decide(checker, waits)).json()
    assert (done["state"], done["result"]) == ("executed", {"points": 10**12 + 5, "issued": 0})
    assert (await decide(checker, waits)).json() == done
    trail = (await admin.get("/v1/audit-trail?limit=1000")).json()["items"]
    assert [(entry["act"], entry["principal"]) for entry in trail[-1:]] == [("brand.set_issue_limit", "key_1")]


async def test_a_limit_of_issue_that_was_changed_meanwhile_stays(api: Api, owner: Owner, checker: httpx.AsyncClient) -> None:
    waits = (await api.client("admin").put("/v1/brand/issue-limit", json={"points": 5})).json()
    await owner.execute("UPDATE ledger.head SET issue_limit = 7")
    done = (await decide(checker, waits)).json()
    assert (done["state"], done["error"]["code"]) == ("failed", "issue_limit_changed")
    assert (await api.client("admin").get("/v1/brand/issue-limit")).json()["points"] == 7


async def test_no_less_may_be_issued_than_was(api: Api, checker: httpx.AsyncClient) -> None:
    campaign = {
        "id": "c",
        "name": "c",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2100-01-01T00:00:00Z",
        "rules": [{"action": "click", "points": 1}],
        "budget": 10,
    }
    (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()
    answer = await api.client("admin").put("/v1/brand/issue-limit", json={"points": 9})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/points")
    waits = (await api.client("admin").put("/v1/brand/issue-limit", json={"points": 10})).json()
    (await fund(api.client("finance"), 1, "k", "c")).raise_for_status()
    assert (await decide(checker, waits)).json()["error"]["code"] == "issue_limit_changed"


async def test_the_application_sets_no_limit_that_was_not_approved(
    api: Api, owner: Owner, database: Database, checker: httpx.AsyncClient
) -> None:
    waits = (await api.client("admin").put("/v1/brand/issue-limit", json={"points": 5})).json()
    number = int(waits["id"].removeprefix("apr_"))
    intruder = await connect(database.application_url, APPLICATION_ROLE)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intruder.execute("SELECT ledger.set_issue_limit_v1(1, 1, now(), 5)")
    assert await intruder.fetchval("SELECT rewards.set_issue_limit_v1($1, now())", number) is None
    await approve_only(api, owner, checker, waits)
    assert await intruder.fetchval("SELECT rewards.set_issue_limit_v1($1, now())", number) == "set"
    await intruder.close()


@pytest.mark.parametrize("kind", APPROVAL_KINDS.values(), ids=APPROVAL_KINDS)
def test_a_request_is_the_same_after_it_was_stored(kind: AnyKind) -> None:
    assert kind.limited_as in APPROVAL_KINDS
    example: dict[str, Any] = getattr(kind.request, "example", {}) or {"points": 1, "minor_units": 1}
    if kind.name == "brand.point_value":
        example = example | {"replaces": 1}
    body = msgspec.convert(example, kind.request)
    stored = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(body)))
    again = msgspec.convert(stored, kind.request)
    assert again == body
    assert digest_of("k", "s", 1, None, again) == digest_of("k", "s", 1, None, body)


def test_every_kind_is_in_the_document() -> None:
    assert set(re.findall(r"^\| `(\w+\.?\w*)` \| `", DOCUMENT.read_text(), re.MULTILINE)) == set(APPROVAL_KINDS)


async def test_a_key_of_a_request_that_was_refused_lets_nothing_larger_pass(api: Api, owner: Owner) -> None:
    admin = api.client("admin")
    (await admin.post("/v1/campaigns", json=CAMPAIGN | {"budget": 1_000})).raise_for_status()
    (await admin.put("/v1/adjustment-reasons/goodwill", json={"name": "Goodwill", "campaign": "autumn"})).raise_for_status()
    (await api.client("messaging").put("/v1/customers/c-1", json={})).raise_for_status()
    await set_limits(owner, Limit("adjustment", per_request=100))

    async def adjust(points: int, reason: str = "goodwill") -> httpx.Response:
        body = {"customer": {"id": "c-1"}, "points": points, "reason": reason}
        return await api.client("care").post("/v1/adjustments", json=body, headers={"Idempotency-Key": "k"})

    assert (await adjust(1, "undeclared")).status_code == 422
    waits = await adjust(101)
    assert (waits.status_code, waits.json().get("exceeds")) == (202, "per_request")


async def test_what_came_to_nothing_can_be_asked_for_again(api: Api, owner: Owner, checker: httpx.AsyncClient) -> None:
    async def ask() -> dict[str, Any]:
        answer = await api.client("admin").put("/v1/brand/issue-limit", json={"points": 10**15})
        assert answer.status_code == 202, answer.text
        return answer.json()

    declined = await ask()
    assert await ask() == declined
    assert (await decide(checker, declined, "decline")).status_code == 200
    expired = await ask()
    assert expired["id"] != declined["id"]
    await owner.execute("UPDATE rewards.approval SET expires_at = now() WHERE decision IS NULL")
    again = await ask()
    assert (again["state"], again["id"] in {declined["id"], expired["id"]}) == ("pending", False)
    assert await ask() == again
    assert (await decide(checker, again)).json()["state"] == "executed"
