"""What of a brand's settings can wait for approval: what its points are worth, and how much it may issue.

A value waits above a limit, which is how much it changes; the limit of issue always waits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from math import ceil

from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger, PointValue
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.approvals.schemas import AMOUNT_MAX
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brand_settings import actions
from service.brand_settings.schemas import (
    BrandPatch,
    BrandRequest,
    IssueLimitChange,
    IssueLimitResponse,
    PointValueChange,
    PointValuePatch,
    PointValueResponse,
)
from service.brands.brand import Brand
from service.brands.queries import brand_now
from service.http.problems import CODES, Problem, invalid_field
from service.settings import Settings

WHOLE = 10_000
"""A change of as much as the value itself, in hundredths of a percent. So counts a first value."""


def change_of(before: PointValue | None, after: PointValue) -> int:
    """How much a value changes, in hundredths of a percent of the one before, rounded up."""
    if before is None:
        return WHOLE
    ratio = Fraction(after.minor_units * before.points, after.points * before.minor_units)
    return min(ceil(abs(ratio - 1) * WHOLE), AMOUNT_MAX)


async def wanted_value(
    engine: AsyncEngine, principal: Principal, data: BrandRequest | BrandPatch, settings: Settings
) -> Wanted[PointValueChange]:
    """What a change of the brand asks for of the value of points: 0 if it stays. Raises the problem of a wrong request."""
    brand = await brand_now(engine, principal.brand)
    changes = actions.changes_of(brand, data, settings)
    value = changes.value
    body = PointValueChange(points=1, minor_units=1) if value is None else _change(brand, value)
    return Wanted(
        kind=POINT_VALUE,
        subject=brand.code,
        body=body,
        amount=0 if value is None else change_of(brand.point_value, value),
        must_not_wait=_not_alone() if changes.changes_more else None,
    )


def _change(brand: Brand, value: PointValue) -> PointValueChange:
    return PointValueChange(points=value.points, minor_units=value.minor_units, replaces=brand.point_value_version or 0)


def _not_alone() -> Problem:
    return invalid_field("/point_value", "exceeds a limit and has to be approved: change it alone, in a request of its own")


async def _set_value(tools: Tools, maker: Principal, approved: Approved[PointValueChange]) -> PointValueResponse:
    body = approved.body
    patch = BrandPatch(
        point_value=PointValuePatch(points=body.points, minor_units=body.minor_units),
        point_value_version=body.replaces or None,
    )
    clock = await tools.ledger.clock(maker.brand.book)
    now = clock.at(datetime.now(UTC))
    await actions.change_brand(tools.engine, maker, patch, tools.settings, now, approval_no=approved.approval_no)
    return PointValueResponse(body.points, body.minor_units)


async def wanted_issue_limit(ledger: Ledger, principal: Principal, points: int) -> Wanted[IssueLimitChange]:
    """What is asked for to issue up to ``points``. Raises the problem of less than was issued."""
    limit, issued = await ledger.issue_limit(principal.brand.book)
    if points < issued:
        raise invalid_field("/points", f"must be at least {issued}, which the brand has issued")
    body = IssueLimitChange(points=points, replaces=limit)
    return Wanted(kind=ISSUE_LIMIT, subject=principal.brand.code, body=body, amount=points)


async def _set_issue_limit(tools: Tools, maker: Principal, approved: Approved[IssueLimitChange]) -> IssueLimitResponse:
    async with tools.engine.begin() as connection:
        outcome = (
            await connection.execute(
                select(
                    func.rewards.set_issue_limit_v1(
                        bindparam(None, approved.approval_no, BigInteger),
                        bindparam(None, datetime.now(UTC), TIMESTAMP(timezone=True)),
                    )
                )
            )
        ).scalar_one()
    if outcome != "set":
        raise Problem("issue_limit_changed", CODES["issue_limit_changed"].meaning)
    async with tools.engine.begin() as connection:
        before, after = {"points": approved.body.replaces}, {"points": approved.body.points}
        request = f"approval {approved.approval_no}".encode()
        await record(connection, maker, "brand.set_issue_limit", maker.brand.code, before, after, request=request)
    return IssueLimitResponse(*await tools.ledger.issue_limit(maker.brand.book))


POINT_VALUE: Kind[PointValueChange] = Kind(name="brand.point_value", request=PointValueChange, execute=_set_value)
ISSUE_LIMIT: Kind[IssueLimitChange] = Kind(
    name="brand.issue_limit", request=IssueLimitChange, execute=_set_issue_limit, always=True
)
