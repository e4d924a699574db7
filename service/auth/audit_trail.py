"""The audit trail: who did which administrative act, when, and what was before and after it.

    record               an act of an API key, in the transaction of the act
    record_by_operator   an act of the operator's command line, over the owner's connection
    list_entries         a brand's trail, oldest first

Nobody but the database's owner can change or remove an entry. An act is named after its subject: ``campaign.create``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.principal import Principal
from service.auth.tables import api_key, audit_trail

LOCK = 1635083380  # "audt"
"""The first half of an advisory lock; the second is the brand. Entries are numbered in the order of their commits."""


class Entry(msgspec.Struct, frozen=True):
    """One act. Without a key it was the operator's."""

    entry_no: int
    happened_at: datetime
    api_key_id: int | None
    key_name: str | None
    person_id: int | None
    act: str
    subject: str
    before: Any
    after: Any


async def record(
    connection: AsyncConnection,
    principal: Principal,
    act: str,
    subject: str,
    before: object = None,
    after: object = None,
    *,
    request: bytes | None = None,
) -> None:
    """Record what ``principal`` does, in the caller's transaction and as its last statement: it waits for the brand's others.

    ``before`` and ``after`` are structs, or values of JSON. The same act with the same ``request`` is recorded once.
    """
    brand_id = principal.brand.brand_id
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK, brand_id)))
    await connection.execute(
        insert(audit_trail)
        .values(
            brand_id=brand_id,
            api_key_id=principal.api_key_id,
            act=act,
            subject=subject,
            before=msgspec.to_builtins(before),
            after=msgspec.to_builtins(after),
            request=request,
        )
        .on_conflict_do_nothing()
        .inline()
    )


async def record_by_operator(
    connection: asyncpg.Connection[Any], brand_id: int, act: str, subject: str, before: object = None, after: object = None
) -> None:
    """Record what the operator does, in the caller's transaction and as its last statement."""
    await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK, brand_id)
    await connection.execute(
        f"""
        INSERT INTO {audit_trail.fullname} (brand_id, by_operator, act, subject, before, after)
        VALUES ($1, true, $2, $3, $4::text::jsonb, $5::text::jsonb)
        """,
        brand_id, act, subject, _json(before), _json(after),
    )  # fmt: skip


async def list_entries(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> list[Entry]:
    """Return a page of a brand's trail, oldest first. What is after an entry stays after it."""
    found = (
        select(audit_trail, api_key.c.name.label("key_name"), api_key.c.person_id)
        .join_from(audit_trail, api_key, audit_trail.c.api_key_id == api_key.c.api_key_id, isouter=True)
        .where(audit_trail.c.brand_id == brand_id, audit_trail.c.entry_no > after)
        .order_by(audit_trail.c.entry_no)
        .limit(limit)
    )
    async with engine.connect() as connection:
        rows = await connection.execute(found)
        return [
            Entry(
                entry_no=row.entry_no,
                happened_at=row.happened_at,
                api_key_id=row.api_key_id,
                key_name=row.key_name,
                person_id=row.person_id,
                act=row.act,
                subject=row.subject,
                before=row.before,
                after=row.after,
            )
            for row in rows
        ]


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
