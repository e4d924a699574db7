"""Reading estimates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import AccountClass
from service.reports.estimates.tables import estimate as estimates


class Estimate(msgspec.Struct, frozen=True):
    """One estimate: ``value`` from the day ``effective_on`` on."""

    estimate_no: int
    kind: str
    account_class: AccountClass | None
    value: int
    effective_on: date
    method: str
    inputs: dict[str, Any]
    created_at: datetime
    created_by: int


class Estimates:
    """A brand's estimates, oldest first."""

    def __init__(self, known: Sequence[Estimate]) -> None:
        self._known = known

    def of_class(self, account_class: AccountClass) -> bool:
        """Whether there is one of what is redeemed of a class."""
        return any(each.account_class is account_class for each in self._known)

    def on(self, account_class: AccountClass | None, day: date) -> Estimate | None:
        """The one of what is redeemed of a class, or of what a customer costs, that is in effect on a day.

        That is the one that took effect last, and of two on one day the newer.
        """
        found = [each for each in self._known if each.account_class is account_class and each.effective_on <= day]
        return max(found, key=lambda each: (each.effective_on, each.estimate_no), default=None)


async def list_estimates(
    engine: AsyncEngine, brand_id: int, *, before: int | None = None, limit: int | None = None
) -> list[Estimate]:
    """A brand's estimates, newest first; ``before`` is the last number of the page before."""
    found = select(estimates).where(estimates.c.brand_id == brand_id).order_by(estimates.c.estimate_no.desc()).limit(limit)
    if before is not None:
        found = found.where(estimates.c.estimate_no < before)
    async with engine.connect() as connection:
        return [_of_row(row) for row in await connection.execute(found)]


def _of_row(row: Row[Any]) -> Estimate:
    return Estimate(
        estimate_no=row.estimate_no,
        kind=row.kind,
        account_class=None if row.account_class is None else AccountClass(row.account_class),
        value=row.value,
        effective_on=row.effective_on,
        method=row.method,
        inputs=row.inputs,
        created_at=row.created_at,
        created_by=row.created_by,
    )
