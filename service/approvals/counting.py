"""Counting requests towards limits: what passes without approval adds up over a day, by maker and by customer.

A request over many counts with its sum for its maker, and for each of its customers with what it is to them. So nobody goes
round a limit by asking for many small things at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, bindparam, func, insert, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from service.approvals.kinds import Part, Wanted
from service.approvals.limits import Limit, Used, exceeded
from service.approvals.tables import approval_use as uses
from service.auth.principal import Principal

ALWAYS = "always"
"""What a request exceeds whose kind waits whatever the limits are."""
NOBODY = ""
"""The maker of what counts for a customer only."""
AT_ONCE = 10_000


async def count(
    connection: AsyncConnection,
    principal: Principal,
    wanted: Wanted[Any],
    limits: Mapping[str, Limit],
    request_key: bytes,
    today: date,
) -> str | None:
    """Count a request that is within its limits; otherwise say which it exceeds. One that was counted before is within.

    ``limits`` are those there are, by kind. Another request under the same Idempotency-Key counts by itself: where the first
    was refused, the key is free for something larger.
    """
    if wanted.kind.always:
        return ALWAYS
    brand_id = principal.brand.brand_id
    use_key = hashlib.sha256(request_key + wanted.digest).digest()
    if await _was_counted(connection, brand_id, limits, use_key):
        return None
    maker = await _maker(connection, principal)
    days = [_Day(connection, brand_id, limit, today) for limit in limits.values()]
    for day in days:
        exceeds = await day.exceeded(maker, wanted)
        if exceeds is not None:
            return exceeds
    for day in days:
        await day.keep(maker, wanted, use_key)
    return None


async def _was_counted(connection: AsyncConnection, brand_id: int, limits: Mapping[str, Limit], use_key: bytes) -> bool:
    of_kinds = or_(*(uses.c.kind == kind for kind in limits))
    found = select(uses.c.day).where(uses.c.brand_id == brand_id, of_kinds, uses.c.request_key == use_key).limit(1)
    return (await connection.execute(found)).first() is not None


async def _maker(connection: AsyncConnection, principal: Principal) -> str:
    """Whose limits count: the person's, or those of the first key of a system's line."""
    if principal.person_id is not None:
        return f"person {principal.person_id}"
    line = func.rewards.line_of_key_v1(principal.api_key_id).table_valued("api_key_id", "made_by", "person_id").alias("line")
    first = select(line.c.api_key_id).where(line.c.made_by.is_(None))
    return f"key {(await connection.execute(first)).scalar_one()}"


class _Day:
    """What has counted towards the limits of one kind today."""

    def __init__(self, connection: AsyncConnection, brand_id: int, limit: Limit, today: date) -> None:
        self._connection = connection
        self._limit = limit
        self._names = {"brand_id": brand_id, "kind": limit.kind}
        self._today = today
        self._of_day = (uses.c.brand_id == brand_id) & (uses.c.kind == limit.kind) & (uses.c.day == today)

    async def exceeded(self, maker: str, wanted: Wanted[Any]) -> str | None:
        """Which of its limits a request exceeds."""
        amount, parts = wanted.counted(self._limit.kind)
        if not amount:
            return None
        total = select(func.coalesce(func.sum(uses.c.amount), 0)).where(self._of_day, uses.c.maker == maker)
        by_maker = int((await self._connection.execute(total)).scalar_one())
        most = await self._most_for_a_customer(parts)
        return exceeded(self._limit, amount, Used(by_maker, most - amount), has_customer=bool(parts))

    async def _most_for_a_customer(self, parts: Sequence[Part]) -> int:
        """The most that anybody has of today, with this request."""
        most = 0
        for start in range(0, len(parts), AT_ONCE):
            asked = {part.customer: part.amount for part in parts[start : start + AT_ONCE]}
            of_customers = uses.c.customer == func.any(bindparam("customers", list(asked), ARRAY(BigInteger)))
            sums = select(uses.c.customer, func.sum(uses.c.amount)).where(self._of_day, of_customers).group_by(uses.c.customer)
            used = {customer: int(points) for customer, points in await self._connection.execute(sums)}
            most = max(most, *(amount + used.get(customer, 0) for customer, amount in asked.items()))
        return most

    async def keep(self, maker: str, wanted: Wanted[Any], use_key: bytes) -> None:
        """Count a request."""
        amount, parts = wanted.counted(self._limit.kind)
        if not amount:
            return
        alone = parts[0].customer if len(parts) == 1 else None
        use = {"maker": maker, "customer": alone, "day": self._today, "amount": amount, "request_key": use_key}
        await self._connection.execute(insert(uses).values(**self._names, **use))
        if self._limit.per_customer_day is not None and alone is None:
            for start in range(0, len(parts), AT_ONCE):
                await self._keep_parts(use_key, parts[start : start + AT_ONCE])

    async def _keep_parts(self, use_key: bytes, parts: Sequence[Part]) -> None:
        names = [literal(value) for value in (*self._names.values(), NOBODY, self._today)]
        columns = {
            "request_key": ([_key_of(use_key, part) for part in parts], LargeBinary()),
            "customer": ([part.customer for part in parts], BigInteger()),
            "amount": ([part.amount for part in parts], BigInteger()),
        }
        rows = [func.unnest(bindparam(name, values, ARRAY(type_))) for name, (values, type_) in columns.items()]
        kept = insert(uses).from_select([*self._names, "maker", "day", *columns], select(*names, *rows))
        await self._connection.execute(kept)


def _key_of(use_key: bytes, part: Part) -> bytes:
    return hashlib.sha256(use_key + b"%d" % part.customer).digest()
