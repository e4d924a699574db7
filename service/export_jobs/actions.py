"""Ordering an export, downloading its files, having them made again, and cancelling it or deleting its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from litestar import Response
from sqlalchemy import case, func, literal, select, text, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import Cut
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.export_jobs import queries, spans
from service.export_jobs.downloads import download
from service.export_jobs.queries import ExportJob
from service.export_jobs.schemas import ExportRequest
from service.export_jobs.store import FileGone, open_store
from service.export_jobs.tables import LOST, UNDER_WAY
from service.export_jobs.tables import export_job as table
from service.exports.account_codes import AccountCode, wrong_codes
from service.exports.bundle import JOURNALS
from service.http.idempotency import request_fingerprint
from service.http.problems import FieldError, Problem, invalid_field, invalid_fields, not_found
from service.restatements.queries import count_restatements

if TYPE_CHECKING:
    from service.services import Services

UNDER_WAY_MAX = 10
"""How many exports of one brand may be under way: they are made one after the other."""


async def order(
    services: Services, principal: Principal, wanted: ExportRequest, idempotency_key: str | None, *, now: datetime
) -> tuple[ExportJob, bool]:
    """Order an export, and say whether it is new: the same request again is the same export."""
    request_hash = request_fingerprint("/v1/exports", wanted)
    key_hash = None if idempotency_key is None else hashlib.sha256(idempotency_key.encode()).digest()
    there = await _found(services.engine, principal.brand.brand_id, request_hash, key_hash)
    if there is not None:
        return there, False
    if wanted.from_ is not None and not JOURNALS.isdisjoint(wanted.formats):
        raise invalid_field("/from", "a journal has all of the book: leave out `from`, or the journals")
    _check_codes(wanted)
    since, cut = await spans.find_span(services.ledger, principal.brand, wanted.from_, wanted.to, now=now)
    wanted = await _restated(services.engine, principal, wanted)
    made = await _store(services.engine, principal, wanted, request_hash, key_hash, (since, cut))
    if made is not None:
        return made, True
    there = await _found(services.engine, principal.brand.brand_id, request_hash, key_hash)
    if there is None:
        # It was under way a moment ago, and has ended since.
        raise Problem("overloaded", "The export was ordered twice at once; order it again.", headers={"Retry-After": "1"})
    return there, False


async def _restated(engine: AsyncEngine, principal: Principal, wanted: ExportRequest) -> ExportRequest:
    """The same, which says how many restatements it has. Raises the problem of more than there are."""
    there = await count_restatements(engine, principal.brand.brand_id)
    if wanted.restatements is not None and wanted.restatements > there:
        raise invalid_field("/restatements", f"must be at most {there}: the brand has made no more")
    return wanted if wanted.restatements is not None else msgspec.structs.replace(wanted, restatements=there)


def _check_codes(wanted: ExportRequest) -> None:
    codes = [AccountCode(each.account, each.code, each.valid_from) for each in wanted.account_codes]
    wrong = [FieldError(f"/account_codes/{place}/{field}", "invalid_field", why) for place, field, why in wrong_codes(codes)]
    if wrong:
        raise invalid_fields(wrong)


async def delete(engine: AsyncEngine, principal: Principal, job: ExportJob) -> ExportJob:
    """Cancel an export that is under way, and give up the files of one that has ended; the worker removes them."""
    is_under_way = table.c.status.in_(("queued", "running"))
    ended = (
        update(table)
        .where(table.c.export_no == job.export_no, table.c.deleted_at.is_(None))
        .values(
            status=case((is_under_way, literal("cancelled")), else_=table.c.status),
            ended_at=func.coalesce(table.c.ended_at, func.clock_timestamp()),
            deleted_at=func.clock_timestamp(),
        )
        .returning(table)
    )
    async with engine.begin() as connection:
        row = (await connection.execute(ended)).mappings().one_or_none()
        if row is None:
            return job
        await record(connection, principal, "export.delete", job.id, before={"status": job.status})
        return queries.of_row(row)


async def read_file(services: Services, job: ExportJob, name: str, headers: Mapping[str, str]) -> Response[Any]:
    """A file of an export that is done. One that is gone from the store makes the export ``lost``."""
    if job.status == LOST:
        raise _lost()
    file = job.file(name)
    if file is None:
        raise not_found("file")
    try:
        return await download(open_store(services.settings), job.id, file, headers)
    except FileGone:
        await _lose(services.engine, job)
        raise _lost() from None


def _lost() -> Problem:
    return Problem("files_lost", "Its files are gone, say since a restore: POST .../remake makes the same ones again.")


async def _lose(engine: AsyncEngine, job: ExportJob) -> None:
    """Say that a file of an export is gone, unless it has been made again meanwhile."""
    lost = update(table).where(table.c.export_no == job.export_no, table.c.status == "done", table.c.ended_at == job.ended_at)
    async with engine.begin() as connection:
        await connection.execute(lost.values(status=LOST))
    structlog.get_logger().warning("export_files_lost", export=job.id)


async def remake(engine: AsyncEngine, principal: Principal, job: ExportJob) -> tuple[ExportJob, bool]:
    """Have the files of a lost export made again, and say whether that is new. Any other export stays as it is."""
    lost = table.c.export_no == job.export_no, table.c.status == LOST, table.c.deleted_at.is_(None)
    again = update(table).where(*lost).values(status="queued", ended_at=None, files=[], attempt=0).returning(table)
    try:
        async with engine.begin() as connection:
            await _refuse_too_many(connection, principal.brand.brand_id)
            row = (await connection.execute(again)).mappings().one_or_none()
            if row is None:
                return job, False
            await record(connection, principal, "export.remake", job.id)
            return queries.of_row(row), True
    except IntegrityError:
        # It was ordered once more since, and that order is under way.
        alike = await _found(engine, principal.brand.brand_id, job.request_hash, None)
        return alike or job, False


async def _refuse_too_many(connection: AsyncConnection, brand_id: int) -> None:
    under_way = select(func.count()).select_from(table).where(table.c.brand_id == brand_id, text(UNDER_WAY))
    if (await connection.execute(under_way)).scalar_one() >= UNDER_WAY_MAX:
        raise Problem("too_many_exports", f"The brand has {UNDER_WAY_MAX} exports under way: wait, or cancel one.")


async def _found(engine: AsyncEngine, brand_id: int, request_hash: bytes, key_hash: bytes | None) -> ExportJob | None:
    """The job of this key, or one like it that is under way."""
    of_brand = select(table).where(table.c.brand_id == brand_id)
    if key_hash is not None and (found := await queries.read(engine, of_brand.where(table.c.idempotency_key == key_hash))):
        if found[0].request_hash != request_hash:
            raise Problem("idempotency_key_reused", "The Idempotency-Key was used before with a different request.")
        return found[0]
    alike = await queries.read(engine, of_brand.where(table.c.request_hash == request_hash, text(UNDER_WAY)))
    return alike[0] if alike else None


async def _store(
    engine: AsyncEngine,
    principal: Principal,
    wanted: ExportRequest,
    request_hash: bytes,
    key_hash: bytes | None,
    span: tuple[Cut | None, Cut],
) -> ExportJob | None:
    brand_id = principal.brand.brand_id
    columns = _columns(wanted, *span) | {"request_hash": request_hash, "idempotency_key": key_hash}
    stored = (
        insert(table)
        .values(brand_id=brand_id, ordered_by=principal.api_key_id, **columns)
        .on_conflict_do_nothing()
        .returning(table)
    )
    async with engine.begin() as connection:
        await _refuse_too_many(connection, brand_id)
        row = (await connection.execute(stored)).mappings().one_or_none()
        if row is None:
            return None
        job = queries.of_row(row)
        await record(connection, principal, "export.order", job.id, after={"to": job.cut.seq, "formats": job.formats})
        return job


def _columns(wanted: ExportRequest, since: Cut | None, cut: Cut) -> dict[str, Any]:
    return {
        "formats": sorted(set(wanted.formats)),
        "details": wanted.details,
        "customers": wanted.customers,
        "sub_accounts": wanted.sub_accounts,
        "restatements": wanted.restatements,
        "account_codes": type_coerce(msgspec.to_builtins(wanted.account_codes), JSONB),
        "since_name": "" if since is None else since.name,
        "since_seq": 0 if since is None else since.seq,
        "since_posted_at": None if since is None else since.posted_at,
        "cut_name": cut.name,
        "cut_seq": cut.seq,
        "cut_posted_at": cut.posted_at,
    }
