"""API keys: who may call, until when, and for what."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from service.auth.actions import create_key, list_keys, revoke_key
from service.auth.api_keys import hash_key, make_key, read_authorization
from service.auth.errors import KeyInvalid, KeyUnknown
from service.auth.guards import requires
from service.auth.scopes import Scope, conflict
from service.brands.errors import BrandUnknown
from tests.api_fixtures import Api, make_brand
from tests.processes import PROCESSES

Owner: TypeAlias = "asyncpg.Connection[Any]"


async def test_meta_says_who_calls(api: Api) -> None:
    answer = await api.client("storefront").get("/v1/meta")
    assert answer.status_code == 200
    assert answer.json() == {
        "version": "0.1.0",
        "brand": {
            "code": "lumen",
            "name": "Lumen",
            "mode": "test",
            "points_code": "LUM",
            "points_name": "Lumens",
            "currency": "EUR",
            "time_zone": "Europe/Berlin",
        },
        "mode": "test",
        "key_name": "storefront",
        "scopes": ["customers:read", "redemptions:read", "redemptions:write", "returns:write"],
        "max_evidence": "A",
        "lateness_hours": 72,
        "person": None,
    }


NOT_A_KEY = [
    None,
    "",
    "Bearer",
    "Bearer rk_test_short",
    f"Bearer {make_key('test')}",
    f"Basic {make_key('test')}",
    f"Bearer {make_key('test')} {make_key('test')}",
    "Bearer rk_test_" + "é" * 43,
    "Bearer rk_test_" + "a" * 43 + "\t",
]


@pytest.mark.parametrize("header", NOT_A_KEY)
async def test_without_a_known_key_nothing_is_answered(api: Api, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode()}
    answer = await api.client(None).get("/v1/meta", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="rewards"'


async def test_two_authorization_headers_are_none(api: Api) -> None:
    both = [("Authorization", f"Bearer {api.keys['admin']}")] * 2
    assert (await api.client(None).get("/v1/meta", headers=both)).status_code == 401


async def test_a_missing_scope_is_named(api: Api) -> None:
    answer = await api.client("messaging").get("/v1/ledger/trial-balance")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert "ledger:read" in answer.json()["detail"]


async def test_admin_does_not_include_the_other_scopes(api: Api, owner: Owner) -> None:
    key, _ = await create_key(owner, "lumen", "only admin", ["admin"])
    assert (await api.client(key=key).get("/v1/ledger/trial-balance")).status_code == 403


async def test_a_revoked_key_is_refused_within_a_second(api: Api, owner: Owner) -> None:
    key, record = await create_key(owner, "lumen", "temporary", ["ledger:read"])
    client = api.client(key=key)
    assert (await client.get("/v1/meta")).status_code == 200
    revoked = await revoke_key(owner, "lumen", record.prefix)
    assert revoked.revoked_at is not None
    revoked_at = time.monotonic()
    refused_in_a_row = 0
    # Each process in its turn.
    while refused_in_a_row < PROCESSES:
        asked_after_s = time.monotonic() - revoked_at
        refused = (await client.get("/v1/meta")).status_code == 401
        assert refused or asked_after_s <= 1.0
        refused_in_a_row = refused_in_a_row + 1 if refused else 0
        await asyncio.sleep(0.02)
    # Again is harmless, and says when it was.
    assert (await revoke_key(owner, "lumen", record.api_key_id)).revoked_at == revoked.revoked_at


async def test_an_expired_key_is_refused(api: Api, owner: Owner) -> None:
    key, record = await create_key(owner, "lumen", "short", ["ledger:read"], expires_at=datetime.now(UTC) + timedelta(hours=1))
    await owner.execute("UPDATE rewards.api_key SET expires_at = now() WHERE api_key_id = $1", record.api_key_id)
    assert (await api.client(key=key).get("/v1/meta")).status_code == 401


async def test_only_a_keys_hash_is_kept(owner: Owner) -> None:
    brand = await make_brand(owner)
    key, record = await create_key(owner, brand.code, "messaging", ["grants:write"], "A")
    assert key.startswith("rk_test_")
    assert record.prefix == key[:16]
    stored = await owner.fetchrow("SELECT * FROM rewards.api_key")
    assert stored is not None
    assert stored["secret_hash"] == hashlib.sha256(key.encode()).digest()
    assert key not in str(dict(stored))
    assert [known.name for known in await list_keys(owner, brand.code)] == ["messaging"]


async def test_a_live_brands_key_says_so(owner: Owner) -> None:
    await make_brand(owner, code="live-one", mode="live")
    key, _ = await create_key(owner, "live-one", "x", ["grants:write"])
    assert key.startswith("rk_live_")


WRONG_KEYS: list[tuple[dict[str, Any], str]] = [
    ({"scopes": []}, "at least one scope"),
    ({"scopes": ["grants:wirte"]}, "'grants:wirte' is not a scope"),
    ({"scopes": ["grants:write", "funds:write"]}, "both grants:write and funds:write"),
    ({"scopes": ["links:write", "funds:write"]}, "both links:write and funds:write"),
    ({"scopes": ["grants:approve", "funds:write"]}, "both funds:write and grants:approve"),
    ({"scopes": ["grants:approve", "grants:write"]}, "both grants:write and grants:approve"),
    ({"scopes": ["grants:approve", "links:write"]}, "both links:write and grants:approve"),
    ({"max_evidence": "X"}, "must be A, B, C or D"),
    ({"name": ""}, "name must be"),
    ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "must lie in the future"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_KEYS)
async def test_a_key_that_should_not_be_is_not_made(owner: Owner, wrong: dict[str, Any], message: str) -> None:
    await make_brand(owner)
    given: dict[str, Any] = {"name": "x", "scopes": ["grants:write"]} | wrong
    with pytest.raises(KeyInvalid, match=message):
        await create_key(owner, "lumen", **given)
    assert await list_keys(owner, "lumen") == []


async def test_the_database_too_keeps_the_duties_apart(owner: Owner) -> None:
    await make_brand(owner)
    statement = (
        "INSERT INTO rewards.api_key (brand_id, name, prefix, secret_hash, scopes, max_evidence)"
        " VALUES (1, 'x', 'x', sha256(convert_to($1::text, 'UTF8')), $2, 'A')"
    )
    for pair in itertools.combinations(Scope, 2):
        inserted = owner.execute(statement, str(pair), ["ledger:read", *pair])
        if conflict(pair) is None:
            await inserted
            continue
        with pytest.raises(
            asyncpg.CheckViolationError, match=r"api_key_(mints_or_funds_or_approves|corrects_or_has_another_duty)"
        ):
            await inserted
    apart = [set(pair) for pair in itertools.combinations(Scope, 2) if conflict(pair)]
    assert apart == [
        {"grants:write", "grants:approve"},
        {"grants:write", "funds:write"},
        {"grants:write", "corrections:write"},
        {"grants:write", "returns:write"},
        {"grants:write", "approvals:write"},
        {"grants:approve", "links:write"},
        {"grants:approve", "sources:write"},
        {"grants:approve", "funds:write"},
        {"grants:approve", "corrections:write"},
        {"grants:approve", "returns:write"},
        {"links:write", "funds:write"},
        {"links:write", "corrections:write"},
        {"links:write", "returns:write"},
        {"links:write", "approvals:write"},
        {"sources:write", "funds:write"},
        {"sources:write", "corrections:write"},
        {"sources:write", "returns:write"},
        {"sources:write", "approvals:write"},
        {"funds:write", "corrections:write"},
        {"funds:write", "returns:write"},
        {"funds:write", "approvals:write"},
        {"corrections:write", "approvals:write"},
        {"returns:write", "approvals:write"},
    ]


async def test_a_key_is_revoked_by_its_own_name_only(owner: Owner) -> None:
    await make_brand(owner)
    await make_brand(owner, code="other")
    key, record = await create_key(owner, "lumen", "x", ["grants:write"])
    for brand_code, named in (("other", record.prefix), ("lumen", "rk_test_"), ("lumen", "999"), ("lumen", "")):
        with pytest.raises(KeyUnknown):
            await revoke_key(owner, brand_code, named)
    with pytest.raises(BrandUnknown):
        await revoke_key(owner, "nobody", record.prefix)
    assert (await revoke_key(owner, "lumen", key)).revoked_at is not None


def test_a_key_is_read_from_its_header_only_in_its_own_form() -> None:
    key = make_key("live")
    assert read_authorization(f"Bearer {key}") == read_authorization(f"bearer  {key}") == key
    assert len(hash_key(key)) == 32
    for header in (key, f"Bearer {key}x", f"Bearer {key[:-1]}", f"Bearer {key.replace('live', 'prod')}"):
        assert read_authorization(header) is None


FOR_EVERYBODY = {"enrol_person", "report_app_receipts"}
"""Routes that need no key: by an invitation a person gets their first, and devices sign what they report."""


def test_every_v1_route_has_a_guard(api: Api) -> None:
    for route in api.app.routes:
        if route.path.startswith("/v1"):
            for handler, _ in getattr(route, "route_handler_map", {}).values():
                guarded = any(isinstance(guard, requires) for guard in handler.resolve_guards())
                assert guarded or handler.fn.__name__ in {"options_handler", *FOR_EVERYBODY}, route.path


CONTRACT = """
grants:write grants:read grants:approve links:write sources:write sources:read campaigns:read campaigns:write
customers:read customers:write redemptions:write redemptions:read events:read ledger:read exports:write funds:write
corrections:write returns:write approvals:read approvals:write keys:write audit:read admin
"""


def test_scopes_are_those_of_the_contract() -> None:
    assert sorted(Scope) == sorted(CONTRACT.split())
