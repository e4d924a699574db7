"""Reading estimates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import AccountClass
from service.estimates.tables import estimate as estimates


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
    restatement_no: int | None


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
    engine: AsyncEngine, brand_id: int, *, before: int | None = None, limit: int | None = None, restated: int | None = None
) -> list[Estimate]:
    """A brand's estimates, newest first; ``before`` is the last number of the page before.

    With ``restated``, of those that restatements recorded only those of the restatements up to that number.
    """
    found = select(estimates).where(estimates.c.brand_id == brand_id).order_by(estimates.c.estimate_no.desc()).limit(limit)
    if before is not None:
        found = found.where(estimates.c.estimate_no < before)
    if restated is not None:
        found = found.where(func.coalesce(estimates.c.restatement_no, 0) <= restated)
    async with engine.connect() as connection:
        return [_of_row(row) for row in await connection.execute(found)]


async def estimates_of_restatement(engine: AsyncEngine, brand_id: int, numbers: Sequence[int]) -> dict[int, list[int]]:
    """The numbers of the estimates that restatements recorded, by the restatement's number."""
    found = select(estimates.c.restatement_no, estimates.c.estimate_no).where(
        estimates.c.brand_id == brand_id, estimates.c.restatement_no.in_(numbers)
    )
    recorded: dict[int, list[int]] = {}
    async with engine.connect() as connection:
        for row in await connection.execute(found.order_by(estimates.c.estimate_no)):
            recorded.setdefault(row.restatement_no, []).append(row.estimate_no)
    return recorded


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
        restatement_no=row.restatement_no,
    )
