"""Keys with which a brand's own systems sign links, so that a send needs no call for each of them.

    register   a public key; the same again is the same key
    retire     what it signed before is honoured, nothing after: the old key's part of a rotation
    revoke     nothing that it signed is honoured any more, whenever it was signed
    find       a key by its number, for whoever has to check what it signed

We never have the private half. In `link.minted_by` such a key is its number with a minus, which tells it from API keys.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.auth.tables import api_key
from service.http.problems import Problem, invalid_field, not_found
from service.links.revocation_subjects import of_key
from service.links.tables import link_revocation
from service.links.tables import minting_key as keys
from service.tokens.ed25519_keys import is_good
from service.tokens.offline import kid_of


class MintingKey(msgspec.Struct, frozen=True):
    """A registered key."""

    key_no: int
    brand_id: int
    name: str
    public_key: bytes
    registered_at: datetime
    registered_by: int
    retired_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None = None

    @property
    def minted_by(self) -> int:
        """How a link says that this key minted it."""
        return -self.key_no


def public_key_of(text: str) -> bytes:
    """The bytes of a public key in base64url. Raises the ``Problem`` of what is none."""
    key = base64.urlsafe_b64decode(text + "=")
    if text_of(key) != text or not is_good(key):
        raise invalid_field("/public_key", "is not an Ed25519 public key in base64url")
    return key


def text_of(key: bytes) -> str:
    """A public key as a JSON Web Key says it."""
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


async def register(engine: AsyncEngine, principal: Principal, name: str, public_key: bytes) -> tuple[MintingKey, bool]:
    """Register a public key, and say whether it is new. It lives no longer than the API key that registers it."""
    if principal.quota_per_minute is not None:
        raise Problem("beyond_this_key", "This key has a quota, and links signed elsewhere would not count towards it.")
    brand_id = principal.brand.brand_id
    async with engine.begin() as connection:
        await _require_good(connection, principal)
        stored = await connection.execute(
            insert(keys)
            .values(
                brand_id=brand_id,
                name=name,
                public_key=public_key,
                registered_by=principal.api_key_id,
                expires_at=principal.expires_at,
            )
            .on_conflict_do_nothing()
            .returning(keys.c.key_no)
        )
        is_new = stored.first() is not None
        (key,) = await _read(connection, keys.c.brand_id == brand_id, keys.c.public_key == public_key)
        if is_new:
            await record(connection, principal, "minting_key.register", kid_of(key.key_no), after={"name": name})
    return key, is_new


async def retire(engine: AsyncEngine, principal: Principal, key_no: int) -> MintingKey:
    """Honour what a key has signed until now, and nothing that it signs from now on."""
    return await _end(engine, principal, key_no, keys.c.retired_at, "minting_key.retire")


async def revoke(engine: AsyncEngine, principal: Principal, key_no: int) -> MintingKey:
    """Honour nothing that a key has signed, for ever."""
    return await _end(engine, principal, key_no, keys.c.revoked_at, "minting_key.revoke")


async def list_keys(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> Sequence[MintingKey]:
    """A page of the brand's keys, oldest first."""
    async with engine.connect() as connection:
        return await _read(connection, keys.c.brand_id == brand_id, keys.c.key_no > after, limit=limit)


async def every_key(engine: AsyncEngine) -> Sequence[MintingKey]:
    """The keys of all brands, oldest first: a few for each."""
    async with engine.connect() as connection:
        return await _read(connection)


async def find(engine: AsyncEngine, key_no: int) -> MintingKey | None:
    """The key of a number, whosever it is."""
    async with engine.connect() as connection:
        return next(iter(await _read(connection, keys.c.key_no == key_no)), None)


async def _require_good(connection: AsyncConnection, principal: Principal) -> None:
    """See to it that the API key is revoked after what it is about to make, or before: then it makes nothing."""
    held = select(api_key.c.revoked_at).where(api_key.c.api_key_id == principal.api_key_id).with_for_update(read=True)
    if (await connection.execute(held)).scalar_one() is not None:
        raise Problem("unauthorized", "The API key was revoked.", headers={"WWW-Authenticate": "Bearer"})


async def _end(engine: AsyncEngine, principal: Principal, key_no: int, ended_at: Any, act: str) -> MintingKey:
    brand_id = principal.brand.brand_id
    theirs = (keys.c.brand_id == brand_id, keys.c.key_no == key_no)
    async with engine.begin() as connection:
        ended = await connection.execute(
            update(keys).where(*theirs, ended_at.is_(None)).values({ended_at: func.clock_timestamp()}).returning(keys.c.key_no)
        )
        found = await _read(connection, *theirs)
        if not found:
            raise not_found("minting key")
        if ended.first() is not None:
            if ended_at is keys.c.revoked_at:
                await _revoke_links(connection, principal, found[0])
            await record(connection, principal, act, kid_of(key_no))
    return found[0]


async def _revoke_links(connection: AsyncConnection, principal: Principal, key: MintingKey) -> None:
    """The links that the key minted are looked up with this, as with any revocation."""
    await connection.execute(
        insert(link_revocation)
        .values(
            brand_id=key.brand_id,
            subject=of_key(key.minted_by),
            named=kid_of(key.key_no),
            revoked_by=principal.api_key_id,
        )
        .on_conflict_do_nothing()
    )


async def _read(connection: AsyncConnection, *conditions: ColumnElement[bool], limit: int | None = None) -> list[MintingKey]:
    found = await connection.execute(select(keys).where(*conditions).order_by(keys.c.key_no).limit(limit))
    return [MintingKey(**row) for row in found.mappings()]
