"""Keys that make keys: within what they hold themselves, whatever the application is made to say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from service.auth.actions import create_key
from service.auth.api_keys import hash_key, make_key
from service.storage.database import APPLICATION_ROLE, WORKER_ROLE, connect
from tests.api_fixtures import KEYS, Api, make_brand
from tests.conftest import Database

Owner: TypeAlias = "asyncpg.Connection[Any]"

READER = {"name": "reader", "scopes": ["ledger:read"]}


async def make(client: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    return await client.post("/v1/keys", json=READER | changed)


async def entries(api: Api, count: int) -> list[dict[str, Any]]:
    """The newest entries of the audit trail."""
    return (await api.client("admin").get("/v1/audit-trail", params={"limit": 1000})).json()["items"][-count:]


async def test_a_key_makes_a_key_that_works_and_is_shown_once(api: Api) -> None:
    admin = api.client("admin")
    answer = await make(admin, max_evidence="B", quota_per_minute=6000, lateness_hours=6)
    assert answer.status_code == 201
    made = answer.json()
    assert made["key"].startswith("rk_test_")
    assert made["prefix"] == made["key"][:16]
    assert (await api.client(key=made["key"]).get("/v1/ledger/trial-balance")).status_code == 200
    listed = (await admin.get("/v1/keys")).json()["items"]
    assert [key["name"] for key in listed] == [*KEYS, "reader"]
    assert listed[-1] == {name: value for name, value in made.items() if name != "key"}
    assert made["key"] not in str(listed)
    (entry,) = await entries(api, 1)
    assert (entry["principal"], entry["act"], entry["subject"]) == ("key_1", "key.create", made["id"])
    assert entry["after"] == {
        "name": "reader",
        "prefix": made["prefix"],
        "scopes": ["ledger:read"],
        "max_evidence": "B",
        "expires_at": None,
        "quota_per_minute": 6000,
        "lateness_hours": 6,
    }
    assert made["key"] not in str(entry)


async def test_two_keys_are_good_at_once_until_the_old_one_is_revoked(api: Api) -> None:
    admin = api.client("admin")
    old, new = [(await make(admin)).json() for _ in range(2)]
    for made in (old, new):
        assert (await api.client(key=made["key"]).get("/v1/meta")).status_code == 200
    revoked = await admin.delete(f"/v1/keys/{old['id']}")
    assert (revoked.status_code, revoked.json()["id"]) == (200, old["id"])
    assert revoked.json()["revoked_at"] is not None
    revoked_at = time.monotonic()
    while True:
        asked_after_s = time.monotonic() - revoked_at
        if (await api.client(key=old["key"]).get("/v1/meta")).status_code != 200:
            break
        assert asked_after_s <= 1.0
        await asyncio.sleep(0.05)
    assert (await api.client(key=new["key"]).get("/v1/meta")).status_code == 200
    again = await admin.delete(f"/v1/keys/{old['id']}")
    assert again.json() == revoked.json()
    created, entry = await entries(api, 2)
    assert (created["act"], entry["act"], entry["subject"]) == ("key.create", "key.revoke", old["id"])
    assert (entry["before"]["revoked_at"], entry["after"]["revoked_at"] is None) == (None, False)


BEYOND: list[tuple[dict[str, Any], int, str, str]] = [
    ({"scopes": ["ledger:read", "grants:write"]}, 403, "missing_scope", "grants:write"),
    ({"scopes": ["grants:write", "funds:write"]}, 422, "invalid_field", "/scopes"),
    ({"scopes": ["links:write", "funds:write"]}, 422, "invalid_field", "/scopes"),
    ({"scopes": ["grants:approve", "funds:write"]}, 422, "invalid_field", "/scopes"),
    ({"scopes": ["grants:approve", "grants:write"]}, 422, "invalid_field", "/scopes"),
    ({"scopes": ["grants:approve", "links:write"]}, 422, "invalid_field", "/scopes"),
    ({"scopes": ["everything"]}, 422, "invalid_field", "/scopes/0"),
    ({"scopes": []}, 422, "invalid_field", "/scopes"),
    ({"max_evidence": "A"}, 422, "invalid_field", "/max_evidence"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "invalid_field", "/expires_at"),
    ({"expires_at": "2099-01-01T00:00:00Z"}, 422, "invalid_field", "/expires_at"),
    ({"quota_per_minute": 601}, 422, "invalid_field", "/quota_per_minute"),
    ({"quota_per_minute": 0}, 422, "invalid_field", "/quota_per_minute"),
    ({"lateness_hours": 25}, 422, "invalid_field", "/lateness_hours"),
    ({"lateness_hours": 73}, 422, "invalid_field", "/lateness_hours"),
    ({"lateness_hours": -1}, 422, "invalid_field", "/lateness_hours"),
    ({"name": ""}, 422, "invalid_field", "/name"),
]


@pytest.fixture
async def limited(api: Api, owner: Owner) -> tuple[httpx.AsyncClient, datetime]:
    """A key that may make keys, holds little and does not live for ever."""
    expires_at = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    key, _ = await create_key(owner, "lumen", "limited", ["keys:write", "ledger:read"], "C", expires_at, 600, 24)
    return api.client(key=key), expires_at


async def test_a_key_gives_nothing_that_it_does_not_hold(limited: tuple[httpx.AsyncClient, datetime]) -> None:
    client, _ = limited
    for changed, status, code, named in BEYOND:
        answer = await make(client, **changed)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert named in answer.text
    assert [key["name"] for key in (await client.get("/v1/keys")).json()["items"]][-1] == "limited"


async def test_what_is_not_said_is_as_it_is_for_the_key_that_asks(limited: tuple[httpx.AsyncClient, datetime]) -> None:
    client, expires_at = limited
    made = (await make(client)).json()
    assert (datetime.fromisoformat(made["expires_at"]), made["quota_per_minute"]) == (expires_at, 600)
    assert (made["max_evidence"], made["lateness_hours"]) == ("C", 24)
    less = {"expires_at": (expires_at - timedelta(days=1)).isoformat(), "quota_per_minute": 5, "lateness_hours": 0}
    shorter = (await make(client, **less)).json()
    assert (shorter["quota_per_minute"], shorter["lateness_hours"]) == (5, 0)
    assert (await client.get("/v1/meta")).json()["lateness_hours"] == 24


async def test_keys_are_a_matter_of_their_brand_and_of_the_scope(api: Api, owner: Owner) -> None:
    await make_brand(owner, code="other")
    key, made = await create_key(owner, "other", "other", ["keys:write"])
    foreign = api.client(key=key)
    assert [found["name"] for found in (await foreign.get("/v1/keys")).json()["items"]] == ["other"]
    assert (await foreign.delete("/v1/keys/key_1")).status_code == 404
    assert (await api.client("admin").get("/v1/keys")).status_code == 200
    for unknown in ("key_999", "key_0", "1", "key_99999999999", f"key_{made.api_key_id}"):
        assert (await api.client("admin").delete(f"/v1/keys/{unknown}")).status_code == 404, unknown
    finance = api.client("finance")
    for answer in (await make(finance), await finance.get("/v1/keys"), await finance.delete("/v1/keys/key_1")):
        assert answer.json()["code"] == "missing_scope"


async def test_keys_come_in_pages(api: Api) -> None:
    first = (await api.client("admin").get("/v1/keys?limit=4")).json()
    second = (await api.client("admin").get(f"/v1/keys?limit=4&after={first['next']}")).json()
    assert [key["name"] for key in first["items"] + second["items"]] == list(KEYS)
    assert second["next"] is None


@pytest.mark.one_process("the process must remember the key from its last request")
async def test_a_key_that_was_revoked_a_moment_ago_makes_and_revokes_nothing(api: Api, owner: Owner) -> None:
    key, made = await create_key(owner, "lumen", "leaver", ["keys:write", "ledger:read"])
    client = api.client(key=key)
    assert (await client.get("/v1/meta")).status_code == 200
    await owner.execute("UPDATE rewards.api_key SET revoked_at = now() WHERE api_key_id = $1", made.api_key_id)
    # This process still remembers it as good; the database does not.
    assert (await client.get("/v1/meta")).status_code == 200
    for answer in (await make(client), await client.delete("/v1/keys/key_1")):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


# ---- What an application in wrong hands can do


@pytest.fixture
async def intruder(database: Database, api: Api) -> AsyncGenerator[Owner]:
    """A connection as the application."""
    connection = await connect(database.application_url, APPLICATION_ROLE)
    yield connection
    await connection.close()


FORGERIES = [
    "INSERT INTO rewards.api_key (brand_id, name, prefix, secret_hash, scopes, max_evidence)"
    " VALUES (1, 'x', 'x', sha256('x'), ARRAY['admin'], 'A')",
    "UPDATE rewards.api_key SET scopes = ARRAY['admin']",
    "UPDATE rewards.api_key SET secret_hash = sha256('x')",
    "UPDATE rewards.api_key SET expires_at = NULL",
    "UPDATE rewards.api_key SET revoked_at = NULL",
    "UPDATE rewards.api_key SET quota_per_minute = NULL",
    "DELETE FROM rewards.api_key",
    "SELECT secret_hash FROM rewards.api_key",
    "SELECT * FROM rewards.api_key",
    "SELECT count(*) FROM rewards.api_key WHERE secret_hash = sha256('x')",
    "UPDATE rewards.key_quota SET used = 0",
    "DELETE FROM rewards.key_quota",
    "UPDATE rewards.api_key SET made_by = NULL",
    "UPDATE rewards.api_key SET quota_of = '{}'",
    "SELECT rewards.take_back_key_v1(1, 1, '{}', NULL)",
    "CREATE OR REPLACE FUNCTION rewards.key_of_hash_v1(p_hash bytea) RETURNS integer LANGUAGE sql RETURN 1",
]


async def test_the_application_cannot_write_a_key_or_read_its_hash(intruder: Owner) -> None:
    for forgery in FORGERIES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await intruder.execute(forgery)


CREATE = "SELECT rewards.create_key_v2($1, $2, 'rk_test_forged', 'forged', $3, $4, $5, $6, $7)"


BEYOND_ITS_OWN: list[tuple[list[str | None] | None, str | None, int | None, int | None, int]] = [
    # scopes, evidence, days to live, quota, lateness
    (["ledger:read", "admin"], "C", 1, 1, 1),
    ([], "C", 1, 1, 1),
    (None, "C", 1, 1, 1),
    (["ledger:read", None], "C", 1, 1, 1),
    (["ledger:read"], "B", 1, 1, 1),
    (["ledger:read"], "C", 31, 1, 1),
    (["ledger:read"], "C", None, 1, 1),
    (["ledger:read"], "C", 1, 601, 1),
    (["ledger:read"], "C", 1, None, 1),
    (["ledger:read"], "C", 1, 1, 25),
]


async def test_the_database_holds_to_the_callers_own_row(intruder: Owner, owner: Owner) -> None:
    now = datetime.now(UTC)
    key, _ = await create_key(owner, "lumen", "limited", ["keys:write", "ledger:read"], "C", now + timedelta(days=30), 600, 24)
    for scopes, evidence, days, quota, lateness in BEYOND_ITS_OWN:
        until = None if days is None else now + timedelta(days=days)
        asked = (hash_key(make_key("test")), scopes, evidence, until, quota, lateness)
        assert await intruder.fetchval(CREATE, hash_key(key), *asked) is None, asked
    within = (hash_key(make_key("test")), ["ledger:read"], "C", now + timedelta(days=30), 600, 24)
    assert await intruder.fetchval(CREATE, hash_key(key), *within) is not None


async def test_a_process_of_the_version_before_makes_keys_that_are_no_later(intruder: Owner, owner: Owner) -> None:
    key, _ = await create_key(owner, "lumen", "limited", ["keys:write", "ledger:read"], lateness_hours=24)
    made = await intruder.fetchval(
        "SELECT rewards.create_key_v1($1, $2, 'rk_test_before', 'before', ARRAY['ledger:read'], 'C', NULL, NULL)",
        hash_key(key),
        hash_key(make_key("test")),
    )
    assert await owner.fetchval("SELECT lateness_hours FROM rewards.api_key WHERE api_key_id = $1", made) == 24


async def test_the_database_takes_no_hash_of_a_key_that_may_not_make_keys(intruder: Owner, api: Api, owner: Owner) -> None:
    keys = {name: hash_key(key) for name, key in api.keys.items()}
    rest = (hash_key(make_key("test")), ["ledger:read"], "C", None, None, None)
    assert await intruder.fetchval(CREATE, hash_key(make_key("test")), *rest) is None
    assert await intruder.fetchval(CREATE, keys["finance"], *rest) is None
    assert await intruder.fetchval("SELECT rewards.revoke_key_v1($1, 1)", keys["finance"]) is None
    for moment in ("revoked_at", "expires_at"):
        await owner.execute(f"UPDATE rewards.api_key SET {moment} = now() WHERE api_key_id = 1")
        assert await intruder.fetchval(CREATE, keys["admin"], *rest) is None
        assert await intruder.fetchval("SELECT rewards.revoke_key_v1($1, 2)", keys["admin"]) is None
        await owner.execute(f"UPDATE rewards.api_key SET {moment} = NULL WHERE api_key_id = 1")
    assert await intruder.fetchval(CREATE, keys["admin"], *rest) is not None


async def test_not_even_by_the_database_is_a_key_made_that_funds_and_grants(intruder: Owner, api: Api) -> None:
    for maker, given in (
        ("admin", "grants:write"),
        ("admin", "links:write"),
        ("admin", "grants:approve"),
        ("minter", "funds:write"),
    ):
        arguments = (hash_key(make_key("test")), ["keys:write", given], "C", None, None, None)
        assert await intruder.fetchval(CREATE, hash_key(api.keys[maker]), *arguments) is None


async def test_the_functions_of_keys_are_the_applications_alone(owner: Owner) -> None:
    held = await owner.fetch(
        """
        SELECT proc.proname, entry.grantee::regrole::text AS role, proc.prosecdef, proc.proconfig
        FROM pg_proc AS proc CROSS JOIN LATERAL aclexplode(proc.proacl) AS entry
        WHERE proc.pronamespace = 'rewards'::regnamespace AND entry.grantee <> proc.proowner
            AND proc.proname ~ '(^|_)(key|quota)_'
        """
    )
    assert {(row["proname"], row["role"]) for row in held} == {
        (name, APPLICATION_ROLE)
        for name in (
            "key_of_hash_v1",
            "key_of_hash_v2",
            "key_of_hash_v3",
            "create_key_v1",
            "create_key_v2",
            "revoke_key_v1",
            "revoke_key_v2",
            "lease_quota_v1",
            "line_of_key_v1",
        )
    }
    assert all(row["prosecdef"] and row["proconfig"] == ["search_path=pg_catalog, pg_temp"] for row in held)


async def test_the_worker_sees_no_key(database: Database, api: Api) -> None:
    connection = await connect(database.application_url, WORKER_ROLE)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SELECT api_key_id FROM rewards.api_key")
    await connection.close()
