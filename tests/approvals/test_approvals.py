"""Requests above a limit: they wait for another person, and are carried out once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import asyncpg
import httpx
import pytest

from service.approvals import approval_finisher, changing_limits
from service.approvals.kinds import Approved, Tools
from service.approvals.limits import Limit, Used, exceeded
from service.approvals.queries import count_open
from service.auth.actions import create_key
from service.auth.api_keys import hash_key
from service.auth.queries import find_principal_of_key
from service.auth.roles import Role
from service.campaigns.schemas import FundRequest
from service.services import APPROVAL_KINDS
from service.storage.database import APPLICATION_ROLE, connect
from tests.api_fixtures import Api, make_brand
from tests.conftest import Database
from tests.people import client_of, enrolled

Owner: TypeAlias = "asyncpg.Connection[Any]"

NOW = datetime.now(UTC)
CAMPAIGN = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": (NOW - timedelta(days=1)).isoformat(),
    "ends_at": (NOW + timedelta(days=30)).isoformat(),
    "rules": [{"action": "click", "channel": "web", "points": 5}],
}


class People(NamedTuple):
    """Two who may fund and two who may approve."""

    maker: httpx.AsyncClient
    other_maker: httpx.AsyncClient
    checker: httpx.AsyncClient
    other_checker: httpx.AsyncClient


@pytest.fixture
async def people(api: Api, owner: Owner) -> People:
    """Enrolled before any request; and a campaign without a budget, and limits for funding."""
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    await set_limits(owner, Limit("campaign.fund", 100, 250))
    made = [
        await client_of(api, owner, role, name=name)
        for role, name in ((Role.FINANCE, "Ada"), (Role.FINANCE, "Ben"), (Role.APPROVER, "Cy"), (Role.APPROVER, "Di"))
    ]
    return People(*made)


async def set_limits(owner: Owner, *limits: Limit) -> None:
    kinds = changing_limits.limited_kinds(APPROVAL_KINDS.values())
    await changing_limits.set_by_operator(owner, "lumen", limits, 7, kinds)


async def fund(client: httpx.AsyncClient, points: int, key: str, campaign: str = "autumn") -> httpx.Response:
    return await client.post(f"/v1/campaigns/{campaign}/fund", json={"points": points}, headers={"Idempotency-Key": key})


async def waiting(client: httpx.AsyncClient, points: int = 101, key: str = "k") -> dict[str, Any]:
    answer = await fund(client, points, key)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def decide(client: httpx.AsyncClient, waits: dict[str, Any], verb: str = "approve", **body: Any) -> httpx.Response:
    return await client.post(f"/v1/approvals/{waits['id']}/{verb}", json={"digest": waits["digest"], **body})


async def budget(api: Api, campaign: str = "autumn") -> int:
    return (await api.client("finance").get(f"/v1/campaigns/{campaign}")).json()["budget"]["left"]


async def acts(api: Api) -> list[tuple[str, str, str | None]]:
    """The trail: act, subject and person."""
    items = (await api.client("admin").get("/v1/audit-trail?limit=1000")).json()["items"]
    return [(entry["act"], entry["subject"], entry["person"]) for entry in items]


def tools(api: Api) -> Tools:
    return Tools(api.services.engine, api.services.ledger, api.settings)


async def test_what_is_within_the_limits_passes_and_what_is_more_waits(api: Api, people: People) -> None:
    assert (await fund(people.maker, 100, "a")).status_code == 201
    waits = await waiting(people.maker)
    assert (waits["kind"], waits["subject"], waits["request"], waits["amount"]) == (
        "campaign.fund",
        "autumn",
        {"points": 101},
        101,
    )
    assert (waits["state"], waits["exceeds"], waits["asked_by"]["person"]) == ("pending", "per_request", "per_1")
    assert await budget(api) == 100
    answer = await decide(people.checker, waits, note="agreed")
    assert answer.status_code == 200
    done = answer.json()
    assert (done["state"], done["decided_by"]["person"], done["note"]) == ("executed", "per_3", "agreed")
    assert done["result"] == {"campaign": "autumn", "funded": 101, "budget_left": 201, "issued": 201}
    assert await budget(api) == 201
    assert (await acts(api))[-3:] == [
        ("approval.ask", waits["id"], "per_1"),
        ("approval.approve", waits["id"], "per_3"),
        ("campaign.fund", "autumn", "per_1"),
    ]


async def test_the_same_request_again_gets_the_same_approval_as_it_stands(api: Api, people: People) -> None:
    waits = await waiting(people.maker)
    assert await waiting(people.maker) == waits
    await decide(people.checker, waits)
    assert (await waiting(people.maker))["state"] == "executed"
    assert await budget(api) == 101
    reused = await fund(people.maker, 102, "k")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_what_has_passed_counts_once_and_adds_up_over_a_day(api: Api, people: People) -> None:
    for _ in range(3):
        assert (await fund(people.maker, 100, "a")).status_code in {200, 201}
    assert (await fund(people.maker, 100, "b")).status_code == 201
    assert (await waiting(people.maker, 51))["exceeds"] == "per_maker_day"
    assert (await fund(people.maker, 50, "c")).status_code == 201
    assert (await fund(people.other_maker, 100, "d")).status_code == 201
    await api.client("admin").post("/v1/test/clock/advance", json={"seconds": 86_400})
    assert (await fund(people.maker, 100, "e")).status_code == 201


async def test_of_many_at_once_no_more_pass_than_the_limit(api: Api, people: People) -> None:
    answers = await asyncio.gather(*(fund(people.maker, 50, f"at once {n}") for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [202] * 3
    assert await budget(api) == 250


async def test_keys_that_a_systems_key_makes_share_its_limit(api: Api, people: People) -> None:
    assert (await fund(api.client("admin"), 100, "a")).status_code == 201
    child = (await api.client("admin").post("/v1/keys", json={"name": "x", "scopes": ["funds:write", "keys:write"]})).json()
    assert (await fund(api.client(key=child["key"]), 100, "b")).status_code == 201
    grandchild = await api.client(key=child["key"]).post("/v1/keys", json={"name": "x", "scopes": ["funds:write"]})
    assert (await fund(api.client(key=grandchild.json()["key"]), 51, "c")).json()["exceeds"] == "per_maker_day"
    assert (await fund(api.client("finance"), 100, "d")).status_code == 201


async def test_a_campaign_with_a_budget_has_the_same_limits(api: Api, people: People, owner: Owner) -> None:
    admin = api.client("admin")
    assert (await admin.post("/v1/campaigns", json=CAMPAIGN | {"id": "small", "budget": 100})).status_code == 201
    answer = await admin.post("/v1/campaigns", json=CAMPAIGN | {"id": "large", "budget": 151})
    waits = answer.json()
    assert (answer.status_code, waits["kind"], waits["exceeds"]) == (202, "campaign.create", "per_request")
    assert (await admin.get("/v1/campaigns/large")).status_code == 404
    assert (await admin.post("/v1/campaigns", json=CAMPAIGN | {"id": "large", "budget": 151})).json() == waits
    done = (await decide(people.checker, waits)).json()
    assert (done["state"], done["result"]["id"]) == ("executed", "large")
    assert await budget(api, "large") == 151
    assert (await fund(admin, 151, "x", "large")).status_code == 202


async def test_without_limits_nothing_waits(api: Api, owner: Owner) -> None:
    answer = await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"budget": 10**9})
    assert answer.status_code == 201
    assert (await fund(api.client("finance"), 10**9, "a")).status_code == 201
    assert await owner.fetchval("SELECT count(*) FROM rewards.approval_use") == 0
    assert (await api.client("admin").get("/v1/approval-limits")).json() == {
        "version": 0,
        "expires_after_days": 7,
        "limits": [],
    }


# ---- Who may approve


async def test_nobody_approves_of_their_own_request(api: Api, owner: Owner) -> None:
    """Not with the key that made it, nor with any that this person or system has made."""
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    await set_limits(owner, Limit("campaign.fund", 0))
    both = await enrolled(api, owner, Role.FINANCE)
    # No person can be given both halves; a forged row shows that the rule does not lean on that.
    await owner.execute(
        "INSERT INTO rewards.api_key (brand_id, name, prefix, secret_hash, scopes, max_evidence, person_id)"
        " VALUES (1, 'x', 'x', $1, '{approvals:write}', 'C', 1)",
        hash_key("rk_test_" + "x" * 43),
    )
    waits = await waiting(api.client(key=both["key"]))
    own = await decide(api.client(key="rk_test_" + "x" * 43), waits)
    assert (own.status_code, own.json()["code"]) == (403, "own_request")
    # Two persons' keys that come from one key, which no call can make.
    await owner.execute("UPDATE rewards.api_key SET made_by = 1 WHERE name = 'x'")
    await owner.execute("UPDATE rewards.api_key SET person_id = (SELECT max(person_id) FROM rewards.person) WHERE name = 'x'")
    by_system = await waiting(api.client("admin"), key="system")
    own = await decide(api.client(key="rk_test_" + "x" * 43), by_system)
    assert (own.status_code, own.json()["code"]) == (403, "own_request")
    assert await budget(api) == 0


async def test_who_enrolled_later_does_not_approve(api: Api, people: People, owner: Owner) -> None:
    waits = await waiting(people.maker)
    later = await client_of(api, owner, Role.APPROVER, name="Eve")
    answer = await decide(later, waits)
    assert (answer.status_code, answer.json()["code"]) == (403, "enrolled_later")
    assert (await decide(later, await waiting(people.maker, key="next"))).status_code == 200


async def test_a_system_approves_nothing_and_may_decline(api: Api, people: People, owner: Owner) -> None:
    system = api.client(key=(await create_key(owner, "lumen", "system", ["approvals:write"]))[0])
    waits = await waiting(people.maker)
    answer = await decide(system, waits)
    assert (answer.status_code, answer.json()["code"]) == (403, "needs_a_person")
    assert (await decide(system, waits, "decline")).json()["state"] == "declined"


async def test_what_a_revoked_key_asked_for_is_not_approved(api: Api, people: People) -> None:
    waits = await waiting(people.maker)
    (await api.client("admin").delete(f"/v1/keys/{waits['asked_by']['key']}?also=nothing")).raise_for_status()
    answer = await decide(people.checker, waits)
    assert (answer.status_code, answer.json()["code"]) == (409, "maker_revoked")
    assert (await decide(people.checker, waits, "decline")).status_code == 200


async def test_only_the_scope_decides_and_only_what_was_read(api: Api, people: People, owner: Owner) -> None:
    waits = await waiting(people.maker)
    for client in (people.maker, api.client("admin")):
        assert (await decide(client, waits)).json()["code"] == "missing_scope"
    other = await waiting(people.maker, 102, "other")
    answer = await people.checker.post(f"/v1/approvals/{waits['id']}/approve", json={"digest": other["digest"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/digest")
    for wrong in ("", "5d", "G" * 64, waits["digest"].upper()):
        answer = await people.checker.post(f"/v1/approvals/{waits['id']}/approve", json={"digest": wrong})
        assert answer.status_code == 422, wrong
    await make_brand(owner, code="other")
    foreign = api.client(key=(await create_key(owner, "other", "other", ["approvals:write"]))[0])
    for unknown in (waits["id"], "apr_999", "apr_0", "x"):
        answer = await foreign.post(f"/v1/approvals/{unknown}/decline", json={"digest": waits["digest"]})
        assert answer.status_code == 404, unknown
        assert (await foreign.get(f"/v1/approvals/{unknown}")).status_code == 404
    assert (await foreign.get("/v1/approvals")).json()["items"] == []


# ---- Once


async def test_what_is_decided_stays_decided(api: Api, people: People) -> None:
    approved, declined = await waiting(people.maker, key="a"), await waiting(people.maker, key="b")
    first = (await decide(people.checker, approved)).json()
    assert (await decide(people.other_checker, approved)).json() == first
    assert (await decide(people.other_checker, approved, "decline")).json()["code"] == "approval_decided"
    await decide(people.checker, declined, "decline", note="too much")
    assert (await decide(people.other_checker, declined)).json()["code"] == "approval_decided"
    assert (await waiting(people.maker, key="b"))["note"] == "too much"
    assert await budget(api) == 101


async def test_an_approval_that_expired_is_not_carried_out(api: Api, people: People, owner: Owner) -> None:
    waits = await waiting(people.maker)
    await owner.execute("UPDATE rewards.approval SET expires_at = clock_timestamp()")
    assert (await decide(people.checker, waits)).json()["code"] == "approval_expired"
    assert (await waiting(people.maker))["state"] == "expired"
    assert await approval_finisher.run_once(tools(api), APPROVAL_KINDS) == 1
    assert await approval_finisher.run_once(tools(api), APPROVAL_KINDS) == 0
    assert (await decide(people.checker, waits)).json()["code"] == "approval_expired"
    assert (await acts(api))[-1] == ("approval.expire", waits["id"], None)
    assert await budget(api) == 0


async def approve_only(api: Api, owner: Owner, checker: httpx.AsyncClient, waits: dict[str, Any]) -> None:
    """Approve, and die before anything came of it."""
    key = checker.headers["authorization"].removeprefix("Bearer ")
    outcome = await owner.fetchval(
        "SELECT rewards.decide_approval_v1($1, $2, $3, true, NULL)",
        hash_key(key), int(waits["id"].removeprefix("apr_")), bytes.fromhex(waits["digest"]),
    )  # fmt: skip
    assert outcome == "decided_now"


async def test_what_was_approved_before_a_crash_is_carried_out_by_the_worker_once(
    api: Api, people: People, owner: Owner
) -> None:
    waits = await waiting(people.maker)
    await approve_only(api, owner, people.checker, waits)
    assert (await waiting(people.maker))["state"] == "approved"
    # At once it is left to the process that approved.
    assert await approval_finisher.run_once(tools(api), APPROVAL_KINDS) == 0
    later = datetime.now(UTC) + timedelta(minutes=1)
    done = await asyncio.gather(*(approval_finisher.run_once(tools(api), APPROVAL_KINDS, now=later) for _ in range(3)))
    assert sum(done) >= 1
    assert await approval_finisher.run_once(tools(api), APPROVAL_KINDS, now=later) == 0
    assert (await waiting(people.maker))["state"] == "executed"
    assert await budget(api) == 101


async def test_what_was_carried_out_before_a_crash_is_not_carried_out_again(api: Api, people: People, owner: Owner) -> None:
    waits = await waiting(people.maker)
    await approve_only(api, owner, people.checker, waits)
    # All but keeping what came of it.
    maker = await find_principal_of_key(api.services.engine, int(waits["asked_by"]["key"].removeprefix("key_")))
    approved = Approved(int(waits["id"].removeprefix("apr_")), "autumn", FundRequest(points=101), "k")
    await APPROVAL_KINDS["campaign.fund"].execute(tools(api), maker, approved)
    assert await budget(api) == 101
    again = (await decide(people.other_checker, waits)).json()
    assert (again["state"], again["result"]["funded"]) == ("executed", 101)
    assert await budget(api) == 101


async def test_what_is_refused_for_good_has_failed(api: Api, people: People, owner: Owner) -> None:
    waits = await waiting(people.maker, 10**15)
    done = (await decide(people.checker, waits)).json()
    assert (done["state"], done["error"]["code"], done["result"]) == ("failed", "issue_limit_reached", None)
    assert await approval_finisher.run_once(tools(api), APPROVAL_KINDS, now=datetime.now(UTC) + timedelta(hours=1)) == 0


async def test_a_request_that_was_changed_after_it_was_approved_is_not_carried_out(
    api: Api, people: People, owner: Owner
) -> None:
    waits = await waiting(people.maker)
    await owner.execute("""UPDATE rewards.approval SET body = '{"points": 100000}'""")
    done = (await decide(people.checker, waits)).json()
    assert (done["state"], done["error"]["code"]) == ("failed", "internal_error")
    assert await budget(api) == 0


# ---- Limits


async def test_limits_are_changed_by_two_persons(api: Api, people: People, owner: Owner) -> None:
    operator = await client_of(api, owner, Role.OPERATOR, name="Olga")
    wanted = {"limits": [{"kind": "campaign.fund", "per_request": 10**6}], "expires_after_days": 3}
    answer = await operator.put("/v1/approval-limits", json=wanted)
    waits = answer.json()
    assert (answer.status_code, waits["exceeds"], waits["kind"]) == (202, "always", "approval.limits")
    assert (await fund(people.maker, 101, "a")).status_code == 202
    assert (await decide(people.checker, waits)).json()["state"] == "executed"
    shown = (await people.maker.get("/v1/approval-limits")).json()
    assert (shown["version"], shown["expires_after_days"], shown["limits"][0]["per_request"]) == (2, 3, 10**6)
    assert (await fund(people.maker, 101, "b")).status_code == 201
    assert (await acts(api))[-2][0] == "approval.limits"
    again = await operator.put("/v1/approval-limits", json=wanted)
    assert again.json()["state"] == "pending"


async def test_of_two_that_replace_the_same_limits_the_second_fails(api: Api, people: People, owner: Owner) -> None:
    operator = await client_of(api, owner, Role.OPERATOR, name="Olga")
    waiting = [
        (await operator.put("/v1/approval-limits", json={"limits": [{"kind": "campaign.fund", "per_request": limit}]})).json()
        for limit in (1_000, 2_000)
    ]
    assert len({each["id"] for each in waiting}) == 2
    assert (await decide(people.checker, waiting[1])).json()["state"] == "executed"
    done = (await decide(people.checker, waiting[0])).json()
    assert (done["state"], done["error"]["code"]) == ("failed", "limits_changed")
    shown = (await people.maker.get("/v1/approval-limits")).json()
    assert (shown["version"], shown["limits"][0]["per_request"]) == (2, 2_000)


@pytest.mark.parametrize(
    ("limits", "pointer"),
    [
        ([{"kind": "nothing"}], "/limits/0/kind"),
        ([{"kind": "approval.limits"}], "/limits/0/kind"),
        ([{"kind": "campaign.create", "per_request": 1}], "/limits/0/kind"),
        ([{"kind": "campaign.fund"}, {"kind": "campaign.fund"}], "/limits/1/kind"),
        ([{"kind": "campaign.fund", "per_request": -1}], "/limits/0/per_request"),
        ([{"kind": "campaign.fund", "per_day": 1}], "/limits/0/per_day"),
    ],
)
async def test_limits_that_cannot_be_are_refused(api: Api, limits: Any, pointer: str) -> None:
    answer = await api.client("admin").put("/v1/approval-limits", json={"limits": limits})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


EXCEEDED: Sequence[tuple[Limit, int, Used, str | None]] = [
    (Limit("x"), 10**9, Used(10**9, 10**9), None),
    (Limit("x", 10), 10, Used(99, 99), None),
    (Limit("x", 10), 11, Used(0, 0), "per_request"),
    (Limit("x", 10, 15), 11, Used(9, 0), "per_request"),
    (Limit("x", 10, 15), 6, Used(10, 0), "per_maker_day"),
    (Limit("x", 10, 15), 5, Used(10, 0), None),
    (Limit("x", None, None, 7), 3, Used(0, 5), "per_customer_day"),
    (Limit("x", None, None, 7), 2, Used(0, 5), None),
    (Limit("x", 0), 1, Used(0, 0), "per_request"),
]


@pytest.mark.parametrize(("limit", "amount", "used", "which"), EXCEEDED)
def test_the_first_limit_that_is_exceeded_is_named(limit: Limit, amount: int, used: Used, which: str | None) -> None:
    assert exceeded(limit, amount, used, has_customer=True) == which
    if which == "per_customer_day":
        assert exceeded(limit, amount, used, has_customer=False) is None


async def test_approvals_are_listed_by_state_and_kind_in_pages(api: Api, people: People) -> None:
    made = [await waiting(people.maker, key=f"k{n}") for n in range(4)]
    await decide(people.checker, made[0])
    await decide(people.checker, made[1], "decline")

    async def listed(**query: Any) -> list[str]:
        return [each["id"] for each in (await people.checker.get("/v1/approvals", params=query)).json()["items"]]

    ids = [each["id"] for each in made]
    assert await listed() == ids[::-1]
    assert await listed(state="pending") == [ids[3], ids[2]]
    assert await listed(state="executed") == [ids[0]]
    assert await listed(state="declined", kind="campaign.fund") == [ids[1]]
    assert await listed(kind="campaign.create") == []
    first = (await people.checker.get("/v1/approvals?limit=3")).json()
    assert await listed(after=first["next"]) == [ids[0]]
    assert await count_open(api.services.engine, api.brand.brand_id) == 2


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE rewards.approval SET decision = 'approved', decided_at = now()",
        "UPDATE rewards.approval SET body = '{}'",
        "UPDATE rewards.approval SET asked_at = '2000-01-01'",
        "UPDATE rewards.approval SET asked_by = 2",
        "DELETE FROM rewards.approval",
        "DELETE FROM rewards.approval_use",
        "UPDATE rewards.approval_use SET amount = 0",
        "UPDATE rewards.approval_policy SET limits = '[]'",
        "DELETE FROM rewards.approval_policy",
    ],
)
async def test_the_application_cannot_decide_by_itself(api: Api, database: Database, people: People, forgery: str) -> None:
    await waiting(people.maker)
    intruder = await connect(database.application_url, APPLICATION_ROLE)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intruder.execute(forgery)
    await intruder.close()
