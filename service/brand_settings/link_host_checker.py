"""The link host checker: an agent that looks whether brands still prove their link hosts.

Each is looked at once a day. One whose record is missing lapses after ``GRACE``, which its first miss says in the log and the
audit trail; its new links begin with the service's address then. A link that is out keeps working wherever it leads here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from service.brand_settings import link_hosts
from service.brand_settings.link_hosts import CHECKED_AGAIN_AFTER, HostClaim
from service.brands.tables import link_host as table
from service.egress.hosts import is_same_place
from service.egress.resolving import Resolver

HOSTS_AT_ONCE = 20


async def run_once(engine: AsyncEngine, resolver: Resolver, own_hosts: frozenset[str], now: datetime | None = None) -> int:
    """Check the hosts that are due; says how many. ``own_hosts`` are the service's, which no brand keeps."""
    now = now or datetime.now(UTC)
    due = await _take(engine, now)
    for held in due:
        await _check(engine, resolver, held, own_hosts, now)
    return len(due)


async def _take(engine: AsyncEngine, now: datetime) -> list[HostClaim]:
    """The hosts that are due, put off for a while so that no other worker takes them."""
    key = tuple_(table.c.brand_id, table.c.host)
    due = (
        select(table.c.brand_id, table.c.host)
        .where(table.c.state == "verified", table.c.next_check_at <= now)
        .order_by(table.c.next_check_at)
        .limit(HOSTS_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    async with engine.begin() as connection:
        keys = [tuple(row) for row in (await connection.execute(due)).all()]
        if not keys:
            return []
        taken = update(table).where(key.in_(keys)).values(next_check_at=now + CHECKED_AGAIN_AFTER).returning(table)
        return [link_hosts.held_of_row(row) for row in (await connection.execute(taken)).all()]


async def _check(engine: AsyncEngine, resolver: Resolver, held: HostClaim, own_hosts: frozenset[str], now: datetime) -> None:
    if is_same_place(held.host, own_hosts):
        after: dict[str, Any] = {"state": "lapsed", "checked_at": now, "last_error": "this is the service's own host"}
    elif held.needs_no_proof:
        after = {"checked_at": now, "next_check_at": now + link_hosts.CHECKED_EVERY}
    else:
        texts, why = await link_hosts.ask(resolver, held)
        after = link_hosts.checked(held, link_hosts.look(held, texts), why, now)
    act = None
    if after.get("state") == "lapsed":
        act = "link_host.lapse"
    elif after.get("missing_since") is not None and held.missing_since is None:
        act = "link_host.missing"
    unchanged = update(table).where(table.c.brand_id == held.brand_id, table.c.host == held.host, table.c.state == "verified")
    async with engine.begin() as connection:
        is_there = (await connection.execute(unchanged.values(**after))).rowcount
        if act is not None and is_there:
            await link_hosts.note(connection, held, act, after)
            structlog.get_logger().warning(
                act.replace(".", "_"), brand_id=held.brand_id, host=held.host, lapses_at=str(after.get("lapses_at"))
            )
