"""Recording estimates."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from ledger import AccountClass
from service.auth.audit_trail import LOCK, record
from service.auth.principal import Principal
from service.estimates.queries import Estimate, list_estimates
from service.estimates.schemas import EstimateRequest
from service.estimates.tables import estimate as estimates
from service.http.problems import invalid_field

if TYPE_CHECKING:
    from service.services import Services

_WHOLE = 10_000


async def create_estimate(services: Services, principal: Principal, request: EstimateRequest) -> Estimate:
    """Record an estimate. Raises the problem of one that is impossible, or that would change what is closed."""
    brand = principal.brand
    effective_on = request.effective_on or brand.calendar.day(await services.clocks.now(brand))
    check(request)
    await _check_open(services, principal, effective_on)
    async with services.engine.begin() as connection:
        # Numbered one after the other.
        await connection.execute(select(func.pg_advisory_xact_lock(LOCK, brand.brand_id)))
        last = select(func.coalesce(func.max(estimates.c.estimate_no), 0) + 1).where(estimates.c.brand_id == brand.brand_id)
        number = (
            await connection.execute(
                insert(estimates)
                .values(
                    brand_id=brand.brand_id,
                    estimate_no=last.scalar_subquery(),
                    kind=request.kind,
                    account_class=None if request.account_class is None else AccountClass[request.account_class.upper()],
                    value=request.value,
                    effective_on=effective_on,
                    method=request.method,
                    inputs=request.inputs,
                    created_by=principal.api_key_id,
                )
                .returning(estimates.c.estimate_no)
            )
        ).scalar_one()
        await record(connection, principal, "estimate.create", f"{request.kind} {number}", after=request)
    return (await list_estimates(services.engine, brand.brand_id, before=number + 1, limit=1))[0]


def check(request: EstimateRequest, where: str = "") -> None:
    """Raise the problem of an estimate that is impossible; ``where`` is where it is in the request."""
    of_points = request.kind == "expected_redemption"
    if of_points != (request.account_class is not None):
        raise invalid_field(f"{where}/class", "is required" if of_points else "must be left out: this is not about points")
    if of_points and request.value > _WHOLE:
        raise invalid_field(f"{where}/value", "must be at most 10,000 hundredths of a percent")


async def _check_open(services: Services, principal: Principal, effective_on: date) -> None:
    closed = await services.ledger.closes(principal.brand.book, limit=1)
    if closed and effective_on <= closed[0].ends_on:
        raise invalid_field("/effective_on", f"must be after the last closed period, which ends on {closed[0].ends_on}")
