"""Looking up API keys. A revoked key is refused within a second, because nothing here is remembered for longer."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from sqlalchemy import Integer, LargeBinary, Row, SmallInteger, Text, any_, bindparam, column, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Grade
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.auth.tables import api_key
from service.brands.calendars import learn
from service.brands.queries import brand_columns, brand_of_row, brands_with_value
from service.brands.tables import brand
from service.concurrency.ttl_cache import TtlCache

_TTL_S = 1.0
_shown = [
    api_key.c[name]
    for name in ("api_key_id", "scopes", "max_evidence", "expires_at", "quota_per_minute", "lateness_hours", "person_id")
]


async def find_principal(engine: AsyncEngine, secret_hash: bytes) -> Principal | None:
    """Return who holds the key of this hash, unless it is unknown, revoked or expired."""
    # A function, because the application may not read hashes. It finds only keys that are valid.
    held = (
        func.rewards.key_of_hash_v3(bindparam(None, secret_hash, LargeBinary))
        .table_valued(
            column("api_key_id", Integer),
            column("brand_id", Integer),
            column("name", Text),
            column("scopes", ARRAY(Text)),
            column("max_evidence", Text),
            column("expires_at", TIMESTAMP(timezone=True)),
            column("quota_per_minute", Integer),
            column("lateness_hours", SmallInteger),
            column("person_id", Integer),
        )
        .alias("held")
    )
    found = select(
        held.c.api_key_id,
        held.c.name.label("key_name"),
        held.c.scopes,
        held.c.max_evidence,
        held.c.expires_at,
        held.c.quota_per_minute,
        held.c.lateness_hours,
        held.c.person_id,
        *brand_columns,
    ).join_from(held, brands_with_value, held.c.brand_id == brand.c.brand_id)
    async with engine.connect() as connection:
        row = (await connection.execute(found)).one_or_none()
        if row is None:
            return None
        await learn(connection, row.time_zone)
    return _principal(row)


async def find_principal_of_key(engine: AsyncEngine, api_key_id: int) -> Principal:
    """Return whose a key is, which need not be valid any more: what it asked for before is done in its name."""
    found = (
        select(*_shown, api_key.c.name.label("key_name"), *brand_columns)
        .join_from(api_key, brands_with_value, api_key.c.brand_id == brand.c.brand_id)
        .where(api_key.c.api_key_id == api_key_id)
    )
    async with engine.connect() as connection:
        row = (await connection.execute(found)).one()
        await learn(connection, row.time_zone)
    return _principal(row)


def _principal(row: Row[Any]) -> Principal:
    return Principal(
        api_key_id=row.api_key_id,
        name=row.key_name,
        brand=brand_of_row(row),
        # A scope that this version does not know gives nothing.
        scopes=frozenset(scope for scope in Scope if scope in row.scopes),
        max_evidence=Grade(row.max_evidence),
        lateness=timedelta(hours=row.lateness_hours),
        expires_at=row.expires_at,
        quota_per_minute=row.quota_per_minute,
        person_id=row.person_id,
    )


class Principals:
    """Who holds a key, by the key's hash, as it was at most a second ago."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._by_hash: TtlCache[bytes, Principal | None] = TtlCache(
            lambda secret_hash: find_principal(engine, secret_hash),
            ttl_s=_TTL_S,
            # Nobody knows a key before it is made.
            keeps_none=True,
        )

    def by_hash(self, secret_hash: bytes) -> Awaitable[Principal | None]:
        """Return who holds the key of this hash."""
        return self._by_hash.get(secret_hash)

    def forget(self) -> None:
        """Ask again for every key: what one stands for was changed in this process."""
        self._by_hash.clear()


async def count_late_keys(engine: AsyncEngine, brand_id: int, hours: int) -> int:
    """How many of a brand's keys may report acts and still have them count more than ``hours`` hours ago."""
    late = select(func.count()).where(
        api_key.c.brand_id == brand_id,
        api_key.c.revoked_at.is_(None),
        literal(Scope.GRANTS_WRITE.value) == any_(api_key.c.scopes),
        api_key.c.lateness_hours > hours,
    )
    async with engine.connect() as connection:
        return (await connection.execute(late)).scalar_one()
