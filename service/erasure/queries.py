"""Reading and writing erasures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.erasure.schemas import ErasureResponse, State
from service.erasure.tables import erasure as erasures
from service.http.identifiers import customer_id, erasure_id, key_id


class Erasure(msgspec.Struct, frozen=True):
    """The erasure of a customer."""

    erasure_no: int
    brand_id: int
    customer: int
    state: State
    asked_at: datetime
    asked_by: int | None
    by_customer: bool
    erases_at: datetime
    numbers: list[int]
    messages: list[bytes]
    points: int | None
    erased_at: datetime | None

    def response(self) -> ErasureResponse:
        """The erasure as the API shows it."""
        return ErasureResponse(
            id=erasure_id(self.erasure_no),
            customer=customer_id(self.customer),
            state=self.state,
            asked_at=self.asked_at,
            asked_by=None if self.asked_by is None else key_id(self.asked_by),
            by_customer=self.by_customer,
            erases_at=self.erases_at,
            points_forfeited=self.points,
            erased_at=self.erased_at,
        )


_COLUMNS = [erasures.c[name] for name in Erasure.__struct_fields__]
_OPEN = erasures.c.state != "erased"


async def find_erasure(engine: AsyncEngine, brand_id: int, erasure_no: int) -> Erasure | None:
    """The brand's erasure of this number."""
    found = select(*_COLUMNS).where(erasures.c.brand_id == brand_id, erasures.c.erasure_no == erasure_no)
    async with engine.connect() as connection:
        row = (await connection.execute(found)).one_or_none()
    return None if row is None else Erasure(*row)


async def list_erasures(engine: AsyncEngine, brand_id: int, *, before: int | None, limit: int) -> list[Erasure]:
    """A page of a brand's erasures, newest first; ``before`` is the last number of the page before."""
    found = select(*_COLUMNS).where(erasures.c.brand_id == brand_id)
    if before is not None:
        found = found.where(erasures.c.erasure_no < before)
    async with engine.connect() as connection:
        return [Erasure(*row) for row in await connection.execute(found.order_by(erasures.c.erasure_no.desc()).limit(limit))]


async def find_open(connection: AsyncConnection, customer: int) -> Erasure | None:
    """The erasure of a customer that is not done."""
    row = (await connection.execute(select(*_COLUMNS).where(erasures.c.customer == customer, _OPEN))).one_or_none()
    return None if row is None else Erasure(*row)


async def keep(connection: AsyncConnection, **values: Any) -> Erasure:
    """Write an erasure down, unless there is one of the customer that is open already."""
    there = await find_open(connection, values["customer"])
    if there is not None:
        return there
    row = (await connection.execute(insert(erasures).values(**values).returning(*_COLUMNS))).one()
    return Erasure(*row)


async def due(engine: AsyncEngine, *, limit: int) -> list[Erasure]:
    """Erasures that can be begun or gone on with, the oldest first."""
    found = select(*_COLUMNS).where(_OPEN, erasures.c.erases_at <= func.clock_timestamp())
    async with engine.connect() as connection:
        return [Erasure(*row) for row in await connection.execute(found.order_by(erasures.c.erases_at).limit(limit))]
