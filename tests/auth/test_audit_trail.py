"""The audit trail: every administrative act is in it, under its own name, and stays there."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import asyncpg
import pytest

from service.auth.actions import create_key, revoke_key
from service.auth.api_keys import hash_key
from service.auth.audit_trail import record
from service.auth.queries import find_principal
from service.brand_settings.schemas import BrandRequest
from service.storage.database import APPLICATION_ROLE, READER_ROLE, WORKER_ROLE, connect
from tests.api_fixtures import KEYS, Api, make_brand
from tests.conftest import Database

Owner: TypeAlias = "asyncpg.Connection[Any]"

CAMPAIGN = {
    "id": "spring",
    "name": "Spring",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2036-01-01T00:00:00Z",
    "budget": 500,
    "rules": [{"action": "click", "points": 10}],
}


async def trail(api: Api, *, after: int = 0) -> list[dict[str, Any]]:
    """The acts since the brand and its first keys were made."""
    answer = await api.client("admin").get("/v1/audit-trail", params={"after": after, "limit": 1000})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def acts(api: Api, after: int) -> list[tuple[str, str, str]]:
    return [(entry["principal"], entry["act"], entry["subject"]) for entry in await trail(api, after=after)]


async def last(api: Api) -> int:
    return (await trail(api))[-1]["entry"]


async def test_a_campaign_and_its_funds_are_recorded_once_however_often_they_are_sent(api: Api) -> None:
    before = await last(api)
    admin = api.client("admin")
    for status in (201, 200):
        assert (await admin.post("/v1/campaigns", json=CAMPAIGN)).status_code == status
    for status in (201, 200):
        funded = await api.client("finance").post(
            "/v1/campaigns/spring/fund", json={"points": 7}, headers={"Idempotency-Key": "more"}
        )
        assert funded.status_code == status
    assert await acts(api, before) == [
        ("key_1", "campaign.create", "spring"),
        ("key_1", "campaign.fund", "spring"),
        ("key_4", "campaign.fund", "spring"),
    ]
    created, first, second = await trail(api, after=before)
    assert (created["key_name"], created["before"]) == ("admin", None)
    assert created["after"]["rules"][0]["points"] == 10
    assert (first["after"], second["after"]) == ({"points": 500}, {"points": 7})


async def test_a_campaign_that_is_refused_is_not_recorded(api: Api) -> None:
    before = await last(api)
    assert (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | {"ends_at": "2025-01-01T00:00:00Z"})).is_error
    assert await acts(api, before) == []


async def test_an_act_that_does_not_take_effect_leaves_no_entry(api: Api) -> None:
    before = await last(api)
    engine = api.services.engine
    principal = await find_principal(engine, hash_key(api.keys["admin"]))
    assert principal is not None
    async with engine.connect() as connection:
        await record(connection, principal, "campaign.pause", "spring", {"paused": False}, {"paused": True})
        await connection.rollback()
    assert await acts(api, before) == []


async def test_a_change_of_the_brand_says_what_was_before(api: Api) -> None:
    before = await last(api)
    admin = api.client("admin")
    wanted = (await admin.get("/v1/brand")).json() | {"accent_color": "#123456"}
    wanted = {name: value for name, value in wanted.items() if name in BrandRequest.__struct_fields__}
    for _ in range(2):
        assert (await admin.put("/v1/brand", json=wanted)).status_code == 200
    (entry,) = await trail(api, after=before)
    assert (entry["principal"], entry["act"], entry["subject"]) == ("key_1", "brand.change", "lumen")
    assert (entry["before"]["accent_color"], entry["after"]["accent_color"]) == ("#1f4fd8", "#123456")


async def test_a_cut_and_a_test_clock_are_recorded_with_who_asked_first(api: Api) -> None:
    before = await last(api)
    for client in ("finance", "admin"):
        assert (await api.client(client).post("/v1/cuts", json={"name": "2026-11"})).status_code in {200, 201}
    clock = "/v1/test/clock/advance"
    assert (await api.client("admin").post(clock, json={"seconds": 60})).status_code == 200
    assert (await api.client("admin").post(clock, json={"to": "2020-01-01T00:00:00Z"})).status_code == 422
    assert await acts(api, before) == [("key_4", "cut.take", "2026-11"), ("key_1", "clock.advance", "lumen")]


async def test_the_operators_acts_are_recorded_as_hers(api: Api, owner: Owner) -> None:
    before = await last(api)
    _, made = await create_key(owner, "lumen", "temporary", ["ledger:read"], quota_per_minute=60)
    await revoke_key(owner, "lumen", made.api_key_id)
    await revoke_key(owner, "lumen", made.api_key_id)
    name = f"key_{made.api_key_id}"
    assert await acts(api, before) == [("operator", "key.create", name), ("operator", "key.revoke", name)]
    created, revoked = await trail(api, after=before)
    assert created["after"]["scopes"] == ["ledger:read"]
    assert created["key_name"] is None
    assert revoked["before"]["revoked_at"] is None
    assert revoked["after"]["revoked_at"] is not None


async def test_it_is_read_by_an_administrator_of_the_brand_alone_and_in_pages(api: Api, owner: Owner) -> None:
    await make_brand(owner, code="other")
    key, _ = await create_key(owner, "other", "admin", ["admin"])
    foreign = (await api.client(key=key).get("/v1/audit-trail")).json()["items"]
    assert [(entry["act"], entry["after"]["name"]) for entry in foreign] == [("key.create", "admin")]
    assert (await api.client("finance").get("/v1/audit-trail")).status_code == 403

    whole, after, pages = await trail(api), None, list[dict[str, Any]]()
    while True:
        params = {"limit": 3} | ({} if after is None else {"after": after})
        found = (await api.client("admin").get("/v1/audit-trail", params=params)).json()
        pages += found["items"]
        if (after := found["next"]) is None:
            break
    assert pages == whole
    assert len(whole) == len(KEYS)


async def test_entries_are_numbered_in_the_order_in_which_they_are_committed(api: Api) -> None:
    before = await last(api)
    engine = api.services.engine
    principal = await find_principal(engine, hash_key(api.keys["admin"]))
    assert principal is not None

    async def act(subject: str) -> None:
        async with engine.begin() as connection:
            await record(connection, principal, "brand.change", subject)

    async with engine.begin() as first:
        await record(first, principal, "brand.change", "first")
        second = asyncio.create_task(act("second"))
        # It waits for the first: a reader who has seen it cannot have missed the other.
        assert not (await asyncio.wait({second}, timeout=0.2))[0]
        assert await acts(api, before) == []
    await second
    assert [subject for _, _, subject in await acts(api, before)] == ["first", "second"]


TAMPERINGS = [
    "UPDATE rewards.audit_trail SET act = act",
    "UPDATE rewards.audit_trail SET happened_at = happened_at",
    "DELETE FROM rewards.audit_trail",
    "TRUNCATE rewards.audit_trail",
    "INSERT INTO rewards.audit_trail (brand_id, by_operator, act, subject) VALUES (1, true, 'x', 'x')",
    "INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, happened_at) VALUES (1, 1, 'x', 'x', now())",
    "INSERT INTO rewards.audit_trail (entry_no, brand_id, api_key_id, act, subject) OVERRIDING SYSTEM VALUE"
    " VALUES (1, 1, 1, 'x', 'x')",
    "DROP TABLE rewards.audit_trail",
    "ALTER TABLE rewards.audit_trail DISABLE TRIGGER ALL",
]


@pytest.mark.parametrize("role", [APPLICATION_ROLE, WORKER_ROLE, READER_ROLE])
async def test_no_role_of_the_service_can_change_the_trail(database: Database, api: Api, role: str) -> None:
    connection = await connect(database.application_url, role)
    for tampering in TAMPERINGS:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(tampering)
    await connection.close()


async def test_an_entry_without_a_key_is_not_taken_for_an_operators(database: Database, api: Api) -> None:
    connection = await connect(database.application_url, APPLICATION_ROLE)
    with pytest.raises(asyncpg.CheckViolationError, match="audit_trail_is_by_a_key_or_the_operator"):
        await connection.execute("INSERT INTO rewards.audit_trail (brand_id, act, subject) VALUES (1, 'x', 'x')")
    await connection.close()


async def test_the_application_appends_and_no_role_holds_more(owner: Owner) -> None:
    held = await owner.fetch(
        """
        SELECT grantee AS role, privilege_type AS privilege FROM information_schema.role_table_grants
        WHERE table_schema = 'rewards' AND table_name = 'audit_trail' AND grantee LIKE 'rewards\\_%'
        """
    )
    assert {tuple(row) for row in held} == {(APPLICATION_ROLE, "SELECT"), (READER_ROLE, "SELECT")}
    columns = await owner.fetch(
        """
        SELECT grantee AS role, column_name AS column, privilege_type AS privilege
        FROM information_schema.role_column_grants
        WHERE table_schema = 'rewards' AND table_name = 'audit_trail' AND privilege_type <> 'SELECT'
            AND grantee LIKE 'rewards\\_%'
        """
    )
    assert {tuple(row) for row in columns} == {
        (APPLICATION_ROLE, column, "INSERT")
        for column in ("brand_id", "api_key_id", "act", "subject", "before", "after", "request")
    }
