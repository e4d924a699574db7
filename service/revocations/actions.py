"""Revoking links: what was sent by mistake, or by somebody who should not have, earns nothing any more.

    revoke             a link; a message's, a campaign's, an API key's, also those to come; a batch of codes
    restore            take that back
    list_revocations   what is revoked

A link is never changed: what is revoked is a table of its own, which is looked up with every link (see ``queries``). What was
paid stays paid.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.campaigns.queries import find_campaign
from service.code_batches.actions import find_batch
from service.http.identifiers import key_id, parse_key_id
from service.http.problems import invalid_field, not_found
from service.links.schemas import parse_link_id
from service.links.tables import link_revocation as revocations
from service.revocations.schemas import RevocationRequest, RevocationResponse

_NUMBER_MAX = 2**31 - 1


async def revoke(engine: AsyncEngine, principal: Principal, wanted: RevocationRequest) -> RevocationResponse:
    """Revoke what ``wanted`` names. What is revoked already stays revoked as it was."""
    subject, kind, named = await _subject(engine, principal, wanted)
    brand_id = principal.brand.brand_id
    async with engine.begin() as connection:
        new = await connection.execute(
            insert(revocations)
            .values(brand_id=brand_id, subject=subject, named=named, reason=wanted.reason, revoked_by=principal.api_key_id)
            .on_conflict_do_nothing()
            .returning(revocations.c.revocation_no)
        )
        is_new = new.first() is not None
        (revocation,) = await _read(connection, brand_id, revocations.c.subject == subject)
        if is_new:
            await record(connection, principal, "links.revoke", f"{kind} {named}", after=revocation)
    return revocation


async def restore(engine: AsyncEngine, principal: Principal, number: int) -> RevocationResponse:
    """Take a revocation back: the links earn again, as long as they live. A minting key is revoked for ever."""
    brand_id = principal.brand.brand_id
    if not 0 < number <= _NUMBER_MAX:
        raise not_found("revocation")
    async with engine.begin() as connection:
        found = await _read(
            connection, brand_id, revocations.c.revocation_no == number, ~revocations.c.subject.startswith("key -")
        )
        if not found:
            raise not_found("revocation")
        taken_back = await connection.execute(
            delete(revocations)
            .where(revocations.c.brand_id == brand_id, revocations.c.revocation_no == number)
            .returning(revocations.c.revocation_no)
        )
        if taken_back.first() is None:
            raise not_found("revocation")
        (revocation,) = found
        await record(connection, principal, "links.restore", f"{revocation.kind} {revocation.named}", before=revocation)
    return revocation


async def list_revocations(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> Sequence[RevocationResponse]:
    """What is revoked of a brand's links, oldest first."""
    async with engine.connect() as connection:
        return await _read(connection, brand_id, revocations.c.revocation_no > after, limit=limit)


async def _read(
    connection: AsyncConnection, brand_id: int, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[RevocationResponse]:
    found = (
        select(revocations)
        .where(revocations.c.brand_id == brand_id, *conditions)
        .order_by(revocations.c.revocation_no)
        .limit(limit)
    )
    return [
        RevocationResponse(
            id=row.revocation_no,
            kind=row.subject.partition(" ")[0],
            named=row.named,
            reason=row.reason,
            revoked_at=row.revoked_at,
            revoked_by="operator" if row.revoked_by is None else key_id(row.revoked_by),
        )
        for row in await connection.execute(found)
    ]


async def _subject(engine: AsyncEngine, principal: Principal, wanted: RevocationRequest) -> tuple[str, str, str]:
    """What is looked up with a link, its kind, and what it was called."""
    match wanted.named():
        case [("link", named)]:
            link_id = parse_link_id(named)
            if link_id is None:
                raise invalid_field("/link", "is not the id of a link")
            return f"link {link_id.hex()}", "link", named
        case [("message_id", named)]:
            return f"message {named}", "message", named
        case [("campaign", named)]:
            standing = await find_campaign(engine, principal.brand.brand_id, named)
            if standing is None:
                raise invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
            return f"campaign {standing.current.campaign_no}", "campaign", named
        case [("key", named)]:
            api_key_id = parse_key_id(named)
            if api_key_id is None:
                raise invalid_field("/key", "is not the id of an API key")
            return f"key {api_key_id}", "key", named
        case [("code_batch", named)]:
            batch = await find_batch(engine, principal.brand.brand_id, named)
            if batch is None:
                raise invalid_field("/code_batch", "the brand has no such batch of codes")
            return f"code_batch {batch.batch_no}", "code_batch", named
        case _:
            raise invalid_field("", "name exactly one of link, message_id, campaign, key and code_batch")
