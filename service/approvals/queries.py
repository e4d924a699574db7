"""Reading approvals and limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.approvals.limits import Limit, Policy
from service.approvals.tables import approval as approvals
from service.approvals.tables import approval_policy as policies
from service.auth.tables import api_key

State = Literal["pending", "approved", "executed", "failed", "declined", "expired"]


class Approval(msgspec.Struct, frozen=True):
    """A request that waits for another person, or has waited."""

    approval_no: int
    kind: str
    subject: str
    body: dict[str, Any]
    digest: bytes
    amount: int
    customer: int | None
    key: str
    exceeds: str
    asked_by: int
    asked_by_person: int | None
    asked_at: datetime
    expires_at: datetime
    decision: str | None
    decided_by: int | None
    decided_by_person: int | None
    decided_at: datetime | None
    note: str | None
    executed_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None

    @property
    def is_to_be_carried_out(self) -> bool:
        """Whether it was approved, and nothing came of it yet."""
        return self.decision == "approved" and self.executed_at is None

    @property
    def state(self) -> State:
        """How it stands. It expires when its time is over, whether or not somebody came by to say so."""
        match self.decision:
            case None:
                return "pending" if self.expires_at > datetime.now(UTC) else "expired"
            case "approved" if self.executed_at is not None:
                return "executed" if self.error is None else "failed"
            case "approved" | "declined" as decision:
                return decision
            case _:
                return "expired"


_NAMES = [field.name for field in msgspec.structs.fields(Approval)]
_asked, _decided = api_key.alias("asked"), api_key.alias("decided")
_approvals = (
    select(approvals, _asked.c.person_id.label("asked_by_person"), _decided.c.person_id.label("decided_by_person"))
    .join_from(approvals, _asked, approvals.c.asked_by == _asked.c.api_key_id)
    .join(_decided, approvals.c.decided_by == _decided.c.api_key_id, isouter=True)
)
_is_over = approvals.c.expires_at <= func.now()
_IN_STATE: dict[State, ColumnElement[bool]] = {
    "pending": approvals.c.decision.is_(None) & ~_is_over,
    "approved": (approvals.c.decision == "approved") & approvals.c.executed_at.is_(None),
    "executed": approvals.c.executed_at.is_not(None) & approvals.c.error.is_(None),
    "failed": approvals.c.error.is_not(None),
    "declined": approvals.c.decision == "declined",
    "expired": (approvals.c.decision == "expired") | (approvals.c.decision.is_(None) & _is_over),
}


async def list_approvals(
    engine: AsyncEngine, brand_id: int, *, state: State | None, kind: str | None, before: int | None, limit: int
) -> list[Approval]:
    """A page of a brand's approvals, newest first; ``before`` is the last number of the page before."""
    found = _approvals.where(approvals.c.brand_id == brand_id)
    if state is not None:
        found = found.where(_IN_STATE[state])
    if kind is not None:
        found = found.where(approvals.c.kind == kind)
    if before is not None:
        found = found.where(approvals.c.approval_no < before)
    async with engine.connect() as connection:
        return await _read(connection, found.order_by(approvals.c.approval_no.desc()).limit(limit))


async def find_approval(engine: AsyncEngine, brand_id: int, approval_no: int) -> Approval | None:
    """The brand's approval of this number."""
    found = _approvals.where(approvals.c.brand_id == brand_id, approvals.c.approval_no == approval_no)
    async with engine.connect() as connection:
        return next(iter(await _read(connection, found)), None)


async def find_by_request(connection: AsyncConnection, brand_id: int, request_key: bytes) -> Approval | None:
    """The approval that a request waits for, or has waited for."""
    found = _approvals.where(approvals.c.brand_id == brand_id, approvals.c.request_key == request_key)
    return next(iter(await _read(connection, found)), None)


async def left_to_carry_out(engine: AsyncEngine, *, before: datetime, limit: int) -> list[Approval]:
    """What was approved before an instant, of any brand, and of which nothing has come."""
    found = _approvals.where(_IN_STATE["approved"], approvals.c.decided_at < before)
    async with engine.connect() as connection:
        return await _read(connection, found.order_by(approvals.c.approval_no).limit(limit))


async def count_open(engine: AsyncEngine, brand_id: int) -> int:
    """How many of a brand's requests wait for a decision, or to be carried out."""
    is_open = _IN_STATE["pending"] | _IN_STATE["approved"]
    async with engine.connect() as connection:
        counted = select(func.count()).select_from(approvals).where(approvals.c.brand_id == brand_id, is_open)
        return (await connection.execute(counted)).scalar_one()


async def read_policy(connection: AsyncConnection, brand_id: int) -> Policy:
    """A brand's limits as they are now."""
    found = select(policies).where(policies.c.brand_id == brand_id).order_by(policies.c.version.desc()).limit(1)
    row = (await connection.execute(found)).one_or_none()
    if row is None:
        return Policy()
    return Policy(row.version, row.expires_after_days, msgspec.convert(row.limits, tuple[Limit, ...]))


async def _read(connection: AsyncConnection, wanted: Select[Any]) -> list[Approval]:
    return [_of_row(row) for row in (await connection.execute(wanted)).mappings()]


def _of_row(row: RowMapping) -> Approval:
    return Approval(**{name: row[name] for name in _NAMES})
