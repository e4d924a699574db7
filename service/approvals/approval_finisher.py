"""The agent that carries out what was approved when nobody else did, and lets expire what nobody decided in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from service.approvals.actions import carry_out
from service.approvals.kinds import AnyKind, Tools
from service.approvals.queries import Approval, left_to_carry_out

AT_ONCE = 100
LEFT_AFTER = timedelta(seconds=10)
"""Whoever approved carries it out at once: only what is left after a while was forgotten."""


async def run_once(tools: Tools, kinds: Mapping[str, AnyKind], *, now: datetime | None = None) -> int:
    """Finish what is left. Returns how much was done."""
    left = await left_to_carry_out(tools.engine, before=(now or datetime.now(UTC)) - LEFT_AFTER, limit=AT_ONCE)
    failures = [failure for approved in left if (failure := await _failure(tools, kinds, approved)) is not None]
    async with tools.engine.begin() as connection:
        expired = (await connection.execute(select(func.rewards.expire_approvals_v1(AT_ONCE)))).scalar_one()
    if failures:
        raise failures[0]
    return len(left) + expired


async def _failure(tools: Tools, kinds: Mapping[str, AnyKind], approved: Approval) -> Exception | None:
    """What went wrong: the others are not kept waiting by it."""
    try:
        await carry_out(tools, kinds, approved)
    except Exception as error:
        return error
    return None
