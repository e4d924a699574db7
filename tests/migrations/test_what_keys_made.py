"""Who made which key is known of keys of before too, from the audit trail: so they share quotas and are taken back together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from migrations.upgrade import upgrade
from service.auth.actions import create_key
from service.auth.api_keys import hash_key, make_key
from tests.api_fixtures import make_brand
from tests.conftest import Database

pytestmark = pytest.mark.own_database("changes the schema or its rights")

# What the revision has made, unmade.
BEFORE = """
ALTER TABLE rewards.api_key DROP COLUMN made_by, DROP COLUMN quota_of;
ALTER TABLE rewards.minting_key DROP COLUMN expires_at;
ALTER TABLE rewards.consent DROP COLUMN link_made_by;
ALTER TABLE rewards.link_revocation ALTER COLUMN revoked_by SET NOT NULL;
DROP FUNCTION rewards.take_back_key_v1, rewards.revoke_key_v2;
UPDATE rewards.alembic_version SET version_num = '0025'
"""
CREATE = "SELECT rewards.create_key_v2($1, $2, 'x', $3, ARRAY['keys:write'], 'C', $4, $5, 72::smallint)"


async def test_keys_of_before_know_their_makers_and_share_their_quotas(
    database: Database, owner: asyncpg.Connection[Any]
) -> None:
    await make_brand(owner)
    until = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    free, _ = await create_key(owner, "lumen", "free", ["keys:write"])
    limited, _ = await create_key(owner, "lumen", "limited", ["keys:write"], expires_at=until, quota_per_minute=10)
    made = {"free": free, "limited": limited}
    for name, maker, quota in (("a", "free", None), ("b", "a", 7), ("c", "b", 7), ("d", "limited", 10), ("e", "d", 3)):
        made[name] = make_key("test")
        ends = until if maker in {"limited", "d"} else None
        assert await owner.fetchval(CREATE, hash_key(made[maker]), hash_key(made[name]), name, ends, quota)
    await owner.execute(
        "INSERT INTO rewards.minting_key (brand_id, name, public_key, registered_by) VALUES (1, 'x', $1, 2)", bytes(32)
    )
    keys = "SELECT name, made_by, quota_of FROM rewards.api_key ORDER BY api_key_id"
    before = [tuple(row) for row in await owner.fetch(keys)]
    await owner.execute(BEFORE)

    assert await upgrade(database.owner_url, revision="0026") is True

    assert [tuple(row) for row in await owner.fetch(keys)] == before
    assert before == [
        ("free", None, []),
        ("limited", None, []),
        ("a", 1, []),
        ("b", 3, []),
        ("c", 4, [4]),
        ("d", 2, [2]),
        ("e", 6, [2, 6]),
    ]
    assert await owner.fetchval("SELECT expires_at FROM rewards.minting_key") == until
