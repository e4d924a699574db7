"""Keys of before that hold more than a key may now: they stay, give up what is too much, and the trail says so."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from migrations.upgrade import upgrade
from service.auth.actions import list_keys
from tests.api_fixtures import make_brand
from tests.conftest import Database

pytestmark = pytest.mark.own_database("changes the schema or its rights")

# What the revision has made, unmade.
BEFORE = """
ALTER TABLE rewards.api_key DROP CONSTRAINT api_key_mints_or_funds_or_approves;
ALTER TABLE rewards.api_key ADD CONSTRAINT api_key_never_both_funds_and_grants
    CHECK (NOT scopes @> ARRAY['funds:write', 'grants:write']);
UPDATE rewards.alembic_version SET version_num = '0024'
"""

KEYS: list[tuple[str, list[str], list[str]]] = [
    # name, scopes before, scopes after
    (
        "admin",
        ["campaigns:write", "funds:write", "keys:write", "links:write"],
        ["campaigns:write", "keys:write", "links:write"],
    ),
    ("reporter", ["grants:write", "links:write"], ["grants:write", "links:write"]),
    ("finance", ["funds:write", "ledger:read"], ["funds:write", "ledger:read"]),
    ("planner", ["campaigns:read", "campaigns:write"], ["campaigns:read", "campaigns:write", "grants:approve"]),
    ("planner who funds", ["campaigns:write", "funds:write"], ["campaigns:write", "funds:write"]),
    ("planner who reports", ["campaigns:write", "grants:write"], ["campaigns:write", "grants:write"]),
    ("revoked", ["funds:write", "links:write"], ["links:write"]),
]


async def test_a_key_of_before_keeps_one_duty_and_the_trail_says_what_it_lost(
    database: Database, owner: asyncpg.Connection[Any]
) -> None:
    brand = await make_brand(owner)
    await owner.execute(BEFORE)
    for name, before, _ in KEYS:
        await owner.execute(
            "INSERT INTO rewards.api_key (brand_id, name, prefix, secret_hash, scopes, max_evidence, revoked_at)"
            " VALUES ($1, $2, 'x', sha256(convert_to($2, 'UTF8')), $3, 'A', CASE WHEN $2 = 'revoked' THEN now() END)",
            brand.brand_id, name, before,
        )  # fmt: skip

    assert await upgrade(database.owner_url, revision="0025") is True

    assert [(key.name, list(key.scopes)) for key in await list_keys(owner, "lumen")] == [
        (name, after) for name, _, after in KEYS
    ]
    trail = await owner.fetch(
        "SELECT subject, by_operator, before ->> 'scopes' AS before, after ->> 'scopes' AS after"
        " FROM rewards.audit_trail WHERE act = 'key.change' ORDER BY entry_no"
    )
    assert [(entry["subject"], entry["by_operator"]) for entry in trail] == [("key_1", True), ("key_4", True), ("key_7", True)]
    assert [("funds:write" in entry["before"], "funds:write" in entry["after"]) for entry in trail] == [
        (True, False),
        (False, False),
        (True, False),
    ]
