"""Reading export jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Cut
from service.export_jobs.schemas import ExportFile, ExportProgress, ExportResponse, Status
from service.export_jobs.tables import export_job as table
from service.exports.account_codes import AccountCode
from service.exports.bundle import ExportedFile
from service.finance.schemas import CutResponse
from service.http import identifiers
from service.settings import Settings


class ExportJob(msgspec.Struct, frozen=True):
    """A job as it is stored."""

    export_no: int
    brand_id: int
    status: Status
    business_date: date | None
    counts_from: date | None
    formats: Sequence[str]
    details: bool
    customers: bool
    sub_accounts: bool
    account_codes: tuple[AccountCode, ...]
    restatements: int
    since: Cut | None
    cut: Cut
    request_hash: bytes
    attempt: int
    rows_read: int
    rows_of: int
    files: tuple[ExportedFile, ...]
    error: str | None
    ordered_at: datetime
    ended_at: datetime | None
    deleted_at: datetime | None

    @property
    def id(self) -> str:
        """Its public id, and the name of its directory."""
        return identifiers.export_id(self.brand_id, self.export_no)

    def file(self, name: str) -> ExportedFile | None:
        """The file of this name, if it may be downloaded."""
        return next((file for file in self.downloads if file.name == name), None)

    @property
    def downloads(self) -> tuple[ExportedFile, ...]:
        """The files that may be downloaded: a part of an export is none."""
        return self.files if self.status == "done" and self.deleted_at is None else ()


def of_row(row: RowMapping) -> ExportJob:
    """Make a job of its row."""
    has_beginning = row["since_posted_at"] is not None
    return ExportJob(
        export_no=row["export_no"],
        brand_id=row["brand_id"],
        status=row["status"],
        business_date=row["business_date"],
        counts_from=row["counts_from"],
        formats=row["formats"],
        details=row["details"],
        customers=row["customers"],
        sub_accounts=row["sub_accounts"],
        account_codes=msgspec.convert(row["account_codes"], tuple[AccountCode, ...]),
        restatements=row["restatements"],
        since=Cut(row["since_name"], row["since_seq"], row["since_posted_at"]) if has_beginning else None,
        cut=Cut(row["cut_name"], row["cut_seq"], row["cut_posted_at"]),
        request_hash=row["request_hash"],
        attempt=row["attempt"],
        rows_read=row["rows_read"],
        rows_of=row["rows_of"],
        files=msgspec.convert(row["files"], tuple[ExportedFile, ...]),
        error=row["error"],
        ordered_at=row["ordered_at"],
        ended_at=row["ended_at"],
        deleted_at=row["deleted_at"],
    )


async def find_export(engine: AsyncEngine, brand_id: int, export_id: str) -> ExportJob | None:
    """The brand's export of this id."""
    named = identifiers.parse_export_id(export_id)
    if named is None or named[0] != brand_id:
        return None
    found = await read(engine, select(table).where(table.c.brand_id == brand_id, table.c.export_no == named[1]))
    return found[0] if found else None


async def list_exports(engine: AsyncEngine, brand_id: int, *, before: int | None, limit: int) -> list[ExportJob]:
    """A page of the brand's exports, newest first."""
    listed = select(table).where(table.c.brand_id == brand_id).order_by(table.c.export_no.desc()).limit(limit)
    return await read(engine, listed if before is None else listed.where(table.c.export_no < before))


async def read(engine: AsyncEngine, wanted: Select[Any]) -> list[ExportJob]:
    """The jobs that a statement finds."""
    async with engine.connect() as connection:
        return [of_row(row) for row in (await connection.execute(wanted)).mappings()]


def describe(job: ExportJob, settings: Settings) -> ExportResponse:
    """A job as those who ordered it see it."""
    at = f"{settings.base_url}/v1/exports/{job.id}/files"
    kept = timedelta(days=settings.exports_days)
    return ExportResponse(
        id=job.id,
        status=job.status,
        business_date=job.business_date,
        formats=job.formats,
        details=job.details,
        customers=job.customers,
        sub_accounts=job.sub_accounts,
        restatements=job.restatements,
        from_=None if job.since is None else CutResponse.of(job.since),
        to=CutResponse.of(job.cut),
        progress=ExportProgress(job.rows_read, job.rows_of),
        files=[
            ExportFile(file.name, file.rows, file.size_bytes, file.sha256, file.unmapped, f"{at}/{file.name}")
            for file in job.downloads
        ],
        error=job.error,
        ordered_at=job.ordered_at,
        ended_at=job.ended_at,
        expires_at=job.ended_at + kept if job.downloads and job.ended_at is not None else None,
    )
