"""Making, listing and revoking keys.

    create_key list_keys revoke_key    what the operator's command line does, over the owner's connection
    issue_key withdraw_key brand_keys  what a key with the scope keys:write does over HTTP, through functions of the database

Both are recorded in the audit trail.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import TIMESTAMP, Integer, LargeBinary, Row, SmallInteger, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.api_keys import PREFIX_CHARACTERS, hash_key, make_key, prefix_of
from service.auth.audit_trail import record_by_operator
from service.auth.errors import KeyInvalid, KeyUnknown
from service.auth.principal import Principal
from service.auth.scopes import Scope, conflict
from service.auth.tables import api_key
from service.brands.errors import BrandUnknown
from service.brands.tables import brand
from service.http.identifiers import key_id
from service.http.problems import Problem, invalid_field, not_found

QUOTA_MAX = 100_000_000
LATENESS_HOURS_MAX = 72
QUOTAS_MAX = 8
"""How many quotas a key may draw on besides its own."""


class Made(enum.StrEnum):
    """What a key may have made that is revoked with it."""

    KEYS = "keys"
    MINTING_KEYS = "minting_keys"
    LINKS = "links"


EVERYTHING = frozenset(Made)


def made_of(also: Iterable[str]) -> frozenset[Made]:
    """What ``all``, ``nothing`` and names of ``Made`` say together."""
    asked = frozenset(also)
    return EVERYTHING if "all" in asked else frozenset(Made(each) for each in asked - {"nothing"})


_TAKE_BACK = "SELECT rewards.take_back_key_v1($1, $2, $3, $4)"


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
    last_used_at: datetime | None
    quota_per_minute: int | None
    lateness_hours: int
    made_by: int | None
    """The key that made it; ``None`` for the operator."""
    person_id: int | None
    """Whose it is; ``None`` for a system's."""


_COLUMNS = ", ".join(field.name for field in msgspec.structs.fields(KeyRecord))


async def create_key(
    connection: asyncpg.Connection[Any],
    brand_code: str,
    name: str,
    scopes: Iterable[str],
    max_evidence: str = "C",
    expires_at: datetime | None = None,
    quota_per_minute: int | None = None,
    lateness_hours: int = LATENESS_HOURS_MAX,
) -> tuple[str, KeyRecord]:
    """Make a key for a brand and return its text, which cannot be had again. Raises `BrandUnknown` or `KeyInvalid`."""
    given = sorted(set(scopes))
    _check(name, given, max_evidence, expires_at, quota_per_minute, lateness_hours)
    found = await _brand(connection, brand_code)
    key = make_key(found["mode"])
    async with connection.transaction():
        row = await connection.fetchrow(
            f"""
            INSERT INTO {api_key.fullname}
                (brand_id, name, prefix, secret_hash, scopes, max_evidence, expires_at, quota_per_minute, lateness_hours)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            RETURNING {_COLUMNS}
            """,
            found["brand_id"], name, prefix_of(key), hash_key(key), given, max_evidence, expires_at, quota_per_minute,
            lateness_hours,
        )  # fmt: skip
        record = _record(row)
        subject = key_id(record.api_key_id)
        await record_by_operator(connection, found["brand_id"], "key.create", subject, after=_recorded(record))
    return key, record


async def list_keys(connection: asyncpg.Connection[Any], brand_code: str) -> list[KeyRecord]:
    """Return a brand's keys, revoked ones too, in the order in which they were made. Raises `BrandUnknown`."""
    found = await _brand(connection, brand_code)
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM {api_key.fullname} WHERE brand_id = $1 ORDER BY api_key_id", found["brand_id"]
    )
    return [_record(row) for row in rows]


async def revoke_key(
    connection: asyncpg.Connection[Any], brand_code: str, prefix_or_id: str | int, also: Iterable[str] = EVERYTHING
) -> KeyRecord:
    """Revoke the key with this number, or whose text begins so, and what of ``Made`` it made; again is harmless.

    Raises `BrandUnknown` or `KeyUnknown`.

    Within a second no process accepts the key.
    """
    meant = await find_key(connection, brand_code, prefix_or_id)
    await connection.execute(_TAKE_BACK, meant.brand_id, meant.record.api_key_id, sorted(also), None)
    return (await find_key(connection, brand_code, meant.record.api_key_id)).record


class MeantKey(msgspec.Struct, frozen=True):
    """A key that the operator named, and whose it is."""

    brand_id: int
    record: KeyRecord


async def find_key(connection: asyncpg.Connection[Any], brand_code: str, prefix_or_id: str | int) -> MeantKey:
    """Return the key with this number, or whose text begins so. Raises `BrandUnknown` or `KeyUnknown`."""
    named = str(prefix_or_id)
    keys = await list_keys(connection, brand_code)
    # Of a whole key, too, only the beginning is known here.
    meant = [key for key in keys if named in {str(key.api_key_id), key.prefix} or _begins(key, named)]
    if len(meant) != 1:
        which = "no key" if not meant else f"{len(meant)} keys"
        raise KeyUnknown(f"The brand {brand_code!r} has {which} of this number or prefix; see `rewards key list`.")
    return MeantKey((await _brand(connection, brand_code))["brand_id"], meant[0])


async def issue_key(
    engine: AsyncEngine,
    principal: Principal,
    caller_hash: bytes,
    *,
    name: str,
    scopes: Iterable[str],
    max_evidence: str,
    expires_at: datetime | None,
    quota_per_minute: int | None,
    lateness_hours: int | None,
) -> tuple[str, KeyRecord]:
    """Make a key for the caller's brand, with nothing that the caller does not hold. Raises a problem.

    What is checked here is checked by the database again, against the caller's own row: this is for good answers.
    """
    given = sorted(set(scopes))
    if not given:
        raise invalid_field("/scopes", "a key needs at least one scope, or a role")
    expires_at = expires_at or principal.expires_at
    quota_per_minute = quota_per_minute or principal.quota_per_minute
    if principal.quota_per_minute is not None and await _quotas_of(engine, principal) >= QUOTAS_MAX:
        raise invalid_field(
            "", f"a key can draw on at most {QUOTAS_MAX} quotas of the keys it descends from: create it with one of those"
        )
    for pointer, wrong in _beyond(principal, given, max_evidence, expires_at, quota_per_minute, lateness_hours):
        raise invalid_field(pointer, wrong)
    if missing := [scope for scope in given if scope not in principal.scopes]:
        raise Problem("missing_scope", f"A key cannot grant scopes it does not hold: {', '.join(missing)}.")
    key = make_key(principal.brand.mode)
    create = select(
        func.rewards.create_key_v2(
            bindparam(None, caller_hash, LargeBinary),
            bindparam(None, hash_key(key), LargeBinary),
            bindparam(None, prefix_of(key), Text),
            bindparam(None, name, Text),
            bindparam(None, given, ARRAY(Text)),
            bindparam(None, max_evidence, Text),
            bindparam(None, expires_at, TIMESTAMP(timezone=True)),
            bindparam(None, quota_per_minute, Integer),
            bindparam(None, lateness_hours, SmallInteger),
        )
    )
    async with engine.begin() as connection:
        api_key_id = (await connection.execute(create)).scalar_one()
        if api_key_id is None:
            raise no_longer_valid()
        return key, await _read(connection, principal, api_key_id)


async def withdraw_key(
    engine: AsyncEngine, principal: Principal, caller_hash: bytes, api_key_id: int, also: Iterable[str] = EVERYTHING
) -> KeyRecord:
    """Revoke a key of the caller's brand, and what of ``Made`` it made; again is harmless. Raises a problem."""
    revoke = select(
        func.rewards.revoke_key_v2(
            bindparam(None, caller_hash, LargeBinary),
            bindparam(None, api_key_id, Integer),
            bindparam(None, sorted(also), ARRAY(Text)),
        )
    )
    async with engine.begin() as connection:
        found = (await connection.execute(revoke)).scalar_one()
        if found is None:
            raise no_longer_valid()
        if not found:
            raise not_found("key")
        return await _read(connection, principal, api_key_id)


async def brand_keys(engine: AsyncEngine, principal: Principal, *, after: int, limit: int) -> list[KeyRecord]:
    """Return a page of the brand's keys, revoked ones too, in the order in which they were made."""
    found = (
        select(*_columns)
        .where(api_key.c.brand_id == principal.brand.brand_id, api_key.c.api_key_id > after)
        .order_by(api_key.c.api_key_id)
        .limit(limit)
    )
    async with engine.connect() as connection:
        return [_of_row(row) for row in await connection.execute(found)]


_FIELDS = [field.name for field in msgspec.structs.fields(KeyRecord)]
_columns = [api_key.c[name] for name in _FIELDS]


async def _quotas_of(engine: AsyncEngine, principal: Principal) -> int:
    found = select(func.cardinality(api_key.c.quota_of)).where(api_key.c.api_key_id == principal.api_key_id)
    async with engine.connect() as connection:
        return (await connection.execute(found)).scalar_one()


def _of_row(row: Row[Any]) -> KeyRecord:
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), KeyRecord)


async def _read(connection: AsyncConnection, principal: Principal, api_key_id: int) -> KeyRecord:
    found = select(*_columns).where(api_key.c.brand_id == principal.brand.brand_id, api_key.c.api_key_id == api_key_id)
    return _of_row((await connection.execute(found)).one())


def _beyond(
    principal: Principal,
    scopes: list[str],
    max_evidence: str,
    expires_at: datetime | None,
    quota_per_minute: int | None,
    lateness_hours: int | None,
) -> Iterator[tuple[str, str]]:
    if apart := conflict(scopes):
        yield "/scopes", f"must not have both {apart[0]} and {apart[1]}; make two keys"
    if max_evidence < principal.max_evidence:
        yield "/max_evidence", f"must not be stronger than {principal.max_evidence}, which this key may claim"
    if expires_at is not None and expires_at <= datetime.now(UTC):
        yield "/expires_at", "must lie in the future"
    if principal.expires_at is not None and expires_at is not None and expires_at > principal.expires_at:
        yield "/expires_at", f"must not be later than {principal.expires_at.isoformat()}, when this key expires"
    if (principal.quota_per_minute or 0) and (quota_per_minute or 0) > (principal.quota_per_minute or 0):
        yield "/quota_per_minute", f"must not be more than {principal.quota_per_minute}, which this key has"
    if timedelta(hours=lateness_hours or 0) > principal.lateness:
        yield "/lateness_hours", f"must not be more than {principal.lateness // timedelta(hours=1)}, which this key has"


def no_longer_valid() -> Problem:
    """Return the problem of a key that was valid when the request came, and is not any more."""
    return Problem("unauthorized", "The API key was revoked or has expired.", headers={"WWW-Authenticate": "Bearer"})


def _recorded(record: KeyRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "prefix": record.prefix,
        "scopes": record.scopes,
        "max_evidence": record.max_evidence,
        "expires_at": record.expires_at,
        "quota_per_minute": record.quota_per_minute,
        "lateness_hours": record.lateness_hours,
    }


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


def _check(
    name: str,
    scopes: list[str],
    max_evidence: str,
    expires_at: datetime | None,
    quota_per_minute: int | None,
    lateness_hours: int,
) -> None:
    wrong: list[str] = []
    if not 1 <= len(name) <= 100 or not name.isprintable():
        wrong.append("name must be 1 to 100 printable characters")
    if not scopes:
        wrong.append("a key needs at least one scope")
    known = {str(scope) for scope in Scope}
    wrong += [f"{scope!r} is not a scope; there are {', '.join(sorted(known))}" for scope in scopes if scope not in known]
    if apart := conflict(scopes):
        wrong.append(f"no key may hold both {apart[0]} and {apart[1]}; make two keys")
    if max_evidence not in {"A", "B", "C", "D"}:
        wrong.append(f"max evidence {max_evidence!r} must be A, B, C or D")
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= datetime.now(UTC)):
        wrong.append("expires_at must lie in the future and say its zone")
    if quota_per_minute is not None and not 1 <= quota_per_minute <= QUOTA_MAX:
        wrong.append(f"a quota must be between 1 and {QUOTA_MAX} items a minute")
    if not 0 <= lateness_hours <= LATENESS_HOURS_MAX:
        wrong.append(f"lateness must be between 0 and {LATENESS_HOURS_MAX} hours")
    if wrong:
        raise KeyInvalid("; ".join(wrong))
