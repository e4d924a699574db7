"""Changing the limits: by a request that always waits for another person, or by the operator, who sets the first ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.approvals import actions
from service.approvals.errors import LimitsInvalid
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.approvals.limits import Limit, Policy
from service.approvals.queries import read_policy
from service.approvals.schemas import LimitsRequest, LimitsResponse
from service.approvals.tables import approval_policy as policies
from service.auth.audit_trail import LOCK, record, record_by_operator
from service.auth.principal import Principal
from service.brands.errors import BrandUnknown
from service.brands.tables import brand
from service.http.problems import CODES, Problem, invalid_field

if TYPE_CHECKING:
    from service.services import Services


async def wanted_limits(services: Services, principal: Principal, wanted: LimitsRequest) -> Wanted[LimitsRequest]:
    """What is asked for to have other limits. Raises a problem for a kind that is none, or that is named twice."""
    limited = limited_kinds(services.approval_kinds.values())
    for n, limit in enumerate(wanted.limits):
        if limit.kind not in limited:
            raise invalid_field(f"/limits/{n}/kind", f"must be one of {', '.join(sorted(limited))}")
        if limit.kind in {each.kind for each in wanted.limits[:n]}:
            raise invalid_field(f"/limits/{n}/kind", "has limits already")
    async with services.engine.connect() as connection:
        version = (await read_policy(connection, principal.brand.brand_id)).version
    # It is asked for at the version that it replaces, so that the same limits can be asked for at another time.
    return Wanted(kind=CHANGE, subject=_replacing(version), body=wanted, amount=0)


def _replacing(version: int) -> str:
    """What a request that replaces this version is about: the version it makes."""
    return f"version {version + 1}"


def limited_kinds(kinds: Collection[Kind[Any]]) -> set[str]:
    """The names that limits may be set for."""
    return {kind.limited_as for kind in kinds if not kind.always}


async def _execute(tools: Tools, maker: Principal, approved: Approved[LimitsRequest]) -> LimitsResponse:
    brand_id = maker.brand.brand_id
    async with tools.engine.begin() as connection:
        await connection.execute(select(func.pg_advisory_xact_lock(LOCK, brand_id)))
        before = await read_policy(connection, brand_id)
        if not await actions.claim(connection, approved.approval_no):
            return LimitsResponse.of(before)
        if approved.subject != _replacing(before.version):
            # Whoever approved it had other limits before their eyes.
            raise Problem("limits_changed", CODES["limits_changed"].meaning)
        after = _policy(before, approved.body)
        await _insert(connection, brand_id, after, maker.api_key_id)
        await record(connection, maker, "approval.limits", maker.brand.code, before=before, after=after)
    return LimitsResponse.of(after)


CHANGE = Kind(name="approval.limits", request=LimitsRequest, execute=_execute, always=True)


def _policy(before: Policy, wanted: LimitsRequest) -> Policy:
    limits = [Limit(each.kind, each.per_request, each.per_maker_day, each.per_customer_day) for each in wanted.limits]
    return Policy(before.version + 1, wanted.expires_after_days, limits)


async def _insert(connection: AsyncConnection, brand_id: int, policy: Policy, made_by: int) -> None:
    values = {"expires_after_days": policy.expires_after_days, "limits": msgspec.to_builtins(policy.limits)}
    await connection.execute(
        insert(policies).values(brand_id=brand_id, version=policy.version, made_by=made_by, **values).inline()
    )


async def set_by_operator(
    connection: asyncpg.Connection[Any], code: str, limits: Sequence[Limit], expires_after_days: int, kinds: Collection[str]
) -> Policy:
    """Replace all limits, over the owner's connection. Raises `BrandUnknown` or `LimitsInvalid`."""
    for limit in limits:
        if limit.kind not in kinds:
            raise LimitsInvalid(f"{limit.kind!r} has no limits; there are {', '.join(sorted(kinds))}")
    if len({limit.kind for limit in limits}) < len(limits):
        raise LimitsInvalid("a kind has its limits once")
    async with connection.transaction():
        brand_id = await connection.fetchval(f"SELECT brand_id FROM {brand.fullname} WHERE code = $1", code)
        if brand_id is None:
            raise BrandUnknown(f"There is no brand {code!r}.")
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK, brand_id)
        version = await connection.fetchval(
            f"""
            INSERT INTO {policies.fullname} (brand_id, version, expires_after_days, limits)
            SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM {policies.fullname} WHERE brand_id = $1
            RETURNING version
            """,
            brand_id, expires_after_days, msgspec.to_builtins(limits),
        )  # fmt: skip
        policy = Policy(version, expires_after_days, limits)
        await record_by_operator(connection, brand_id, "approval.limits", code, after=policy)
    return policy
