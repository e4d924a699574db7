"""Revoking links: what was sent by mistake, or by somebody who should not have, earns nothing any more.

    revoke             a link; a message's, a campaign's, an API key's, also those to come; a batch of codes
    restore            take that back
    list_revocations   what is revoked

A link is never changed: what is revoked is a table of its own, which is looked up with every link (see `revocation_subjects`).
What was paid stays paid.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.campaigns.queries import find_campaign
from service.code_batches.actions import find_batch
from service.http.identifiers import key_id, parse_key_id
from service.http.problems import invalid_field, not_found
from service.links.revocation_subjects import (
    MINTING_KEYS,
    kind_of,
    of_campaign,
    of_code_batch,
    of_key,
    of_link,
    of_message,
)
from service.links.schemas import parse_link_id
from service.links.tables import link_revocation as revocations
from service.revocations.schemas import RevocationRequest, RevocationResponse

_NUMBER_MAX = 2**31 - 1


async def revoke(engine: AsyncEngine, principal: Principal, wanted: RevocationRequest) -> RevocationResponse:
    """Revoke what ``wanted`` names. What is revoked already stays revoked as it was."""
    subject, named = await _subject(engine, principal, wanted)
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
            await record(connection, principal, "links.revoke", f"{kind_of(subject)} {named}", after=revocation)
    return revocation


async def restore(engine: AsyncEngine, principal: Principal, number: int) -> RevocationResponse:
    """Take a revocation back: the links earn again, as long as they live. A minting key is revoked for ever."""
    brand_id = principal.brand.brand_id
    if not 0 < number <= _NUMBER_MAX:
        raise not_found("revocation")
    async with engine.begin() as connection:
        found = await _read(
            connection, brand_id, revocations.c.revocation_no == number, ~revocations.c.subject.startswith(MINTING_KEYS)
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
            kind=kind_of(row.subject),
            named=row.named,
            reason=row.reason,
            revoked_at=row.revoked_at,
            revoked_by="operator" if row.revoked_by is None else key_id(row.revoked_by),
        )
        for row in await connection.execute(found)
    ]


async def _subject(engine: AsyncEngine, principal: Principal, wanted: RevocationRequest) -> tuple[str, str]:
    """What is looked up with a link, and what it was called."""
    named = [(field, name) for field in SUBJECTS if (name := getattr(wanted, field)) is not None]
    if len(named) != 1:
        *others, last = SUBJECTS
        raise invalid_field("", f"name exactly one of {', '.join(others)} and {last}")
    [(field, name)] = named
    return await SUBJECTS[field](engine, principal.brand.brand_id, name), name


async def _link(_: AsyncEngine, brand_id: int, name: str) -> str:
    link_id = parse_link_id(name)
    if link_id is None:
        raise invalid_field("/link", "is not the id of a link")
    return of_link(link_id)


async def _message(_: AsyncEngine, brand_id: int, name: str) -> str:
    return of_message(name)


async def _campaign(engine: AsyncEngine, brand_id: int, name: str) -> str:
    standing = await find_campaign(engine, brand_id, name)
    if standing is None:
        raise invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
    return of_campaign(standing.current.campaign_no)


async def _key(_: AsyncEngine, brand_id: int, name: str) -> str:
    api_key_id = parse_key_id(name)
    if api_key_id is None:
        raise invalid_field("/key", "is not the id of an API key")
    return of_key(api_key_id)


async def _code_batch(engine: AsyncEngine, brand_id: int, name: str) -> str:
    batch = await find_batch(engine, brand_id, name)
    if batch is None:
        raise invalid_field("/code_batch", "the brand has no such batch of codes")
    return of_code_batch(batch.batch_no)


SUBJECTS: Mapping[str, Callable[[AsyncEngine, int, str], Awaitable[str]]] = {
    "link": _link,
    "message_id": _message,
    "campaign": _campaign,
    "key": _key,
    "code_batch": _code_batch,
}
"""For each field of a request that names what to revoke, how its subject is found."""
