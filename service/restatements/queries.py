"""Reading restatements, and which version of a close has which of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Date, RowMapping, Select, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import PointValue
from service.exports.account_codes import AccountCode
from service.http.problems import invalid_field
from service.restatements.tables import close_version as versions
from service.restatements.tables import restatement as restatements


class RestatedValue(msgspec.Struct, frozen=True):
    """What points are worth from a day on, until another value takes its place."""

    starts_on: date
    points: int
    minor_units: int

    @property
    def value(self) -> PointValue:
        """The value."""
        return PointValue(self.points, self.minor_units)


class Restatement(msgspec.Struct, frozen=True):
    """What was restated, and why."""

    restatement_no: int
    begins_on: date
    ends_on: date
    reason: str
    point_values: tuple[RestatedValue, ...]
    account_codes: tuple[AccountCode, ...]
    approval_no: int
    made_at: datetime


class Version(msgspec.Struct, frozen=True):
    """A version of a close: it has all restatements up to number ``restated``."""

    version: int
    restated: int


async def list_restatements(engine: AsyncEngine, brand_id: int, *, up_to: int) -> list[Restatement]:
    """A brand's restatements up to a number, oldest first."""
    found = select(restatements).where(restatements.c.brand_id == brand_id, restatements.c.restatement_no <= up_to)
    async with engine.connect() as connection:
        return await _read(connection, found.order_by(restatements.c.restatement_no))


async def page_of_restatements(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> list[Restatement]:
    """A page of a brand's restatements, oldest first."""
    found = select(restatements).where(restatements.c.brand_id == brand_id, restatements.c.restatement_no > after)
    async with engine.connect() as connection:
        return await _read(connection, found.order_by(restatements.c.restatement_no).limit(limit))


async def count_restatements(engine: AsyncEngine, brand_id: int) -> int:
    """How many restatements the brand has made."""
    async with engine.connect() as connection:
        return await last_number(connection, brand_id)


async def last_number(connection: AsyncConnection, brand_id: int) -> int:
    """The number of the last restatement; 0 if there is none."""
    last = select(func.coalesce(func.max(restatements.c.restatement_no), 0)).where(restatements.c.brand_id == brand_id)
    return (await connection.execute(last)).scalar_one()


async def version_of_close(engine: AsyncEngine, brand_id: int, ends_on: date, wanted: int | None) -> Version:
    """A version of the close that ends on a day; without ``wanted`` the newest. Raises the problem of one there is not.

    A version has all restatements of the period, and of those before it, but the one that made the next version and later ones.
    """
    found = select(versions.c.version, versions.c.restatement_no).where(
        versions.c.brand_id == brand_id, versions.c.ends_on == ends_on
    )
    async with engine.connect() as connection:
        rows = await connection.execute(found.order_by(versions.c.version))
        later: Sequence[int] = [row.restatement_no for row in rows]
        newest = 1 + len(later)
        version = newest if wanted is None else wanted
        if not 1 <= version <= newest:
            raise invalid_field("?version", f"the period has {newest} version{'s' if newest > 1 else ''}")
        before_next = None if version == newest else later[version - 1]
        return Version(version, await _last_of(connection, brand_id, ends_on, before_next))


async def newest_versions(engine: AsyncEngine, brand_id: int, days: Collection[date]) -> Mapping[date, Version]:
    """The newest version of the closes that end on ``days``, in one statement."""
    day = func.unnest(bindparam(None, list(days), ARRAY(Date))).column_valued("day")
    later = select(func.count()).where(versions.c.brand_id == brand_id, versions.c.ends_on == day).scalar_subquery()
    last = select(func.coalesce(func.max(restatements.c.restatement_no), 0)).where(
        restatements.c.brand_id == brand_id, restatements.c.begins_on <= day
    )
    async with engine.connect() as connection:
        rows = await connection.execute(select(day, 1 + later, last.scalar_subquery()))
        return {ends_on: Version(version, restated) for ends_on, version, restated in rows}


async def _last_of(connection: AsyncConnection, brand_id: int, ends_on: date, before: int | None) -> int:
    """The last restatement before another, or of all, of what ends on a day or before."""
    last = select(func.coalesce(func.max(restatements.c.restatement_no), 0)).where(
        restatements.c.brand_id == brand_id, restatements.c.begins_on <= ends_on
    )
    if before is not None:
        last = last.where(restatements.c.restatement_no < before)
    return (await connection.execute(last)).scalar_one()


async def _read(connection: AsyncConnection, wanted: Select[Any]) -> list[Restatement]:
    return [_of_row(row) for row in (await connection.execute(wanted)).mappings()]


def _of_row(row: RowMapping) -> Restatement:
    return Restatement(
        restatement_no=row["restatement_no"],
        begins_on=row["begins_on"],
        ends_on=row["ends_on"],
        reason=row["reason"],
        point_values=msgspec.convert(row["point_values"], tuple[RestatedValue, ...]),
        account_codes=msgspec.convert(row["account_codes"], tuple[AccountCode, ...]),
        approval_no=row["approval_no"],
        made_at=row["made_at"],
    )
