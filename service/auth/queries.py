"""Looking up API keys. A revoked key is refused within a second, because nothing here is remembered for longer."""

from __future__ import annotations

import hmac

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Grade
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.auth.tables import api_key
from service.brands.queries import brand_columns, brand_of_row, brands_with_value
from service.brands.tables import brand
from service.ttl_cache import TtlCache

_TTL_S = 1.0


async def find_principal(engine: AsyncEngine, secret_hash: bytes) -> Principal | None:
    """Return who holds the key of this hash, unless it is unknown, revoked or expired."""
    found = (
        select(
            api_key.c.api_key_id,
            api_key.c.name.label("key_name"),
            api_key.c.secret_hash,
            api_key.c.scopes,
            api_key.c.max_evidence,
            *brand_columns,
        )
        .join_from(api_key, brands_with_value, api_key.c.brand_id == brand.c.brand_id)
        .where(api_key.c.secret_hash == secret_hash)
        .where(api_key.c.revoked_at.is_(None))
        .where(api_key.c.expires_at.is_(None) | (api_key.c.expires_at > func.clock_timestamp()))
    )
    async with engine.connect() as connection:
        row = (await connection.execute(found)).one_or_none()
    # The index compared byte by byte; this comparison takes as long whatever the bytes are.
    if row is None or not hmac.compare_digest(bytes(row.secret_hash), secret_hash):
        return None
    return Principal(
        api_key_id=row.api_key_id,
        name=row.key_name,
        brand=brand_of_row(row),
        # A scope that this version does not know gives nothing.
        scopes=frozenset(scope for scope in Scope if scope in row.scopes),
        max_evidence=Grade(row.max_evidence),
    )


class Principals:
    """Who holds a key, by the key's hash, as it was at most a second ago."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._by_hash: TtlCache[bytes, Principal | None] = TtlCache(
            lambda secret_hash: find_principal(engine, secret_hash), ttl_s=_TTL_S
        )

    async def by_hash(self, secret_hash: bytes) -> Principal | None:
        """Return who holds the key of this hash."""
        return await self._by_hash.get(secret_hash)

    def forget(self) -> None:
        """Ask again for every key: what one stands for was changed in this process."""
        self._by_hash.clear()
