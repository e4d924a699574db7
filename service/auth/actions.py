"""Making, listing and revoking keys: what the operator's command line does, over the owner's connection."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from service.auth.api_keys import PREFIX_CHARACTERS, hash_key, make_key, prefix_of
from service.auth.errors import KeyInvalid, KeyUnknown
from service.auth.scopes import NEVER_TOGETHER, Scope
from service.auth.tables import api_key
from service.brands.errors import BrandUnknown
from service.brands.tables import brand


class KeyRecord(msgspec.Struct, frozen=True):
    """All that is known of a key once it has been shown."""

    api_key_id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    max_evidence: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


_COLUMNS = "api_key_id, name, prefix, scopes, max_evidence, created_at, expires_at, revoked_at"


async def create_key(
    connection: asyncpg.Connection[Any],
    brand_code: str,
    name: str,
    scopes: Iterable[str],
    max_evidence: str = "C",
    expires_at: datetime | None = None,
) -> tuple[str, KeyRecord]:
    """Make a key for a brand and return its text, which cannot be had again. Raises `BrandUnknown` or `KeyInvalid`."""
    given = sorted(set(scopes))
    _check(name, given, max_evidence, expires_at)
    found = await _brand(connection, brand_code)
    key = make_key(found["mode"])
    row = await connection.fetchrow(
        f"""
        INSERT INTO {api_key.fullname} (brand_id, name, prefix, secret_hash, scopes, max_evidence, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        RETURNING {_COLUMNS}
        """,
        found["brand_id"], name, prefix_of(key), hash_key(key), given, max_evidence, expires_at,
    )  # fmt: skip
    return key, _record(row)


async def list_keys(connection: asyncpg.Connection[Any], brand_code: str) -> list[KeyRecord]:
    """Return a brand's keys, revoked ones too, in the order in which they were made. Raises `BrandUnknown`."""
    found = await _brand(connection, brand_code)
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM {api_key.fullname} WHERE brand_id = $1 ORDER BY api_key_id", found["brand_id"]
    )
    return [_record(row) for row in rows]


async def revoke_key(connection: asyncpg.Connection[Any], brand_code: str, prefix_or_id: str | int) -> KeyRecord:
    """Revoke the key with this number, or whose text begins so; again is harmless. Raises `BrandUnknown` or `KeyUnknown`.

    Within a second no process accepts the key.
    """
    named = str(prefix_or_id)
    keys = await list_keys(connection, brand_code)
    # Of a whole key, too, only the beginning is known here.
    meant = [key for key in keys if named in {str(key.api_key_id), key.prefix} or _begins(key, named)]
    if len(meant) != 1:
        which = "no key" if not meant else f"{len(meant)} keys"
        raise KeyUnknown(f"The brand {brand_code!r} has {which} of this number or prefix; see `rewards key list`.")
    row = await connection.fetchrow(
        f"""
        UPDATE {api_key.fullname} SET revoked_at = coalesce(revoked_at, clock_timestamp())
        WHERE api_key_id = $1
        RETURNING {_COLUMNS}
        """,
        meant[0].api_key_id,
    )
    return _record(row)


def _begins(key: KeyRecord, named: str) -> bool:
    return named.startswith("rk_") and len(named) >= PREFIX_CHARACTERS and key.prefix == named[:PREFIX_CHARACTERS]


async def _brand(connection: asyncpg.Connection[Any], code: str) -> asyncpg.Record:
    row = await connection.fetchrow(f"SELECT brand_id, mode FROM {brand.fullname} WHERE code = $1", code)
    if row is None:
        raise BrandUnknown(f"There is no brand {code!r}.")
    return row


def _record(row: asyncpg.Record | None) -> KeyRecord:
    # RETURNING gave a row, or the statement would have raised.
    if row is None:
        raise LookupError("api_key")
    return msgspec.convert(dict(row), KeyRecord)


def _check(name: str, scopes: list[str], max_evidence: str, expires_at: datetime | None) -> None:
    wrong: list[str] = []
    if not 1 <= len(name) <= 100 or not name.isprintable():
        wrong.append("name must be 1 to 100 printable characters")
    if not scopes:
        wrong.append("a key needs at least one scope")
    known = {str(scope) for scope in Scope}
    wrong += [f"{scope!r} is not a scope; there are {', '.join(sorted(known))}" for scope in scopes if scope not in known]
    if set(scopes) >= NEVER_TOGETHER:
        wrong.append("no key may hold both funds:write and grants:write; make two keys")
    if max_evidence not in {"A", "B", "C", "D"}:
        wrong.append(f"max evidence {max_evidence!r} must be A, B, C or D")
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= datetime.now(UTC)):
        wrong.append("expires_at must lie in the future and say its zone")
    if wrong:
        raise KeyInvalid("; ".join(wrong))
