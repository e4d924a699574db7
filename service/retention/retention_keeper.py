"""The agent that forgets what is older than it has to be kept: a batch of each kind at a time, until nothing is left of any.

How far it has come is stored after each batch. A worker that is killed in between leaves the next one a batch that is done
again, which changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import FIRST_ANSWER, forget_answers, forget_details
from service.brands.brand import Brand
from service.brands.queries import list_brands
from service.settings import Settings

ROWS_AT_ONCE = 1_000
_ANSWERS_EVERY = timedelta(days=1)
_IN_ORDER = {
    "looks": "SELECT rewards.forget_looks_v1($1, $2, $3)",
    "consent_texts": "SELECT rewards.forget_consent_texts_v1($1, $2, $3)",
    "approvals": "SELECT rewards.forget_approvals_v1($1, $2, $3)",
}
_BY_TIME = (
    ("links", "SELECT rewards.forget_links_v1($1, $2)"),
    ("messages", "SELECT rewards.forget_messages_v1($1, $2)"),
    ("messages", "SELECT rewards.forget_offers_v1($1, $2)"),
    ("reply_texts", "SELECT rewards.forget_reply_texts_v1($1, $2)"),
)
_REACHED = "SELECT reached FROM rewards.retention WHERE kind = $1"
_REACH = """
INSERT INTO rewards.retention (kind, reached) VALUES ($1, $2) ON CONFLICT (kind) DO UPDATE SET reached = excluded.reached
"""


class RetentionKeeper:
    """``pool`` and ``engine`` have the worker's role. Answers have no order by time: all are read once a day."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool[Any], engine: AsyncEngine) -> None:
        self._settings = settings
        self._pool = pool
        self._engine = engine
        self._answers_read: dict[int, tuple[int, bytes]] = {}
        self._answers_next: dict[int, datetime] = {}

    async def run_once(self, now: datetime | None = None) -> int:
        """Forget a batch of each kind. Returns how many batches there were something to do in."""
        at = now or datetime.now(UTC)
        done = sum([await self._forget_in_order(kind, at) for kind in _IN_ORDER])
        done += sum([await self._forget_by_time(*each, at) for each in _BY_TIME])
        for brand in await list_brands(self._engine):
            done += await self._forget_details(brand, at) + await self._forget_answers(brand, at)
        return done

    def _before(self, kind: str, now: datetime) -> datetime | None:
        """What is older than this is over; ``None``: it is kept for ever."""
        days: int = getattr(self._settings, f"{kind}_days")
        return now - timedelta(days=days) if days else None

    async def _forget_in_order(self, kind: str, now: datetime) -> bool:
        if (before := self._before(kind, now)) is None:
            return False
        reached = await self._pool.fetchval(_REACHED, kind) or 0
        further = await self._pool.fetchval(_IN_ORDER[kind], reached, before, ROWS_AT_ONCE)
        if further > reached:
            await self._pool.execute(_REACH, kind, further)
        return further > reached

    async def _forget_by_time(self, kind: str, statement: str, now: datetime) -> bool:
        before = self._before(kind, now)
        return before is not None and bool(await self._pool.fetchval(statement, before, ROWS_AT_ONCE))

    async def _forget_details(self, brand: Brand, now: datetime) -> bool:
        if (before := self._before("details", now)) is None:
            return False
        return await forget_details(self._pool, brand.book, before)

    async def _forget_answers(self, brand: Brand, now: datetime) -> bool:
        before, brand_id = self._before("answers", now), brand.brand_id
        if before is None or now < self._answers_next.get(brand_id, now):
            return False
        last = await forget_answers(self._pool, brand.book, before, self._answers_read.pop(brand_id, FIRST_ANSWER))
        if last is None:
            self._answers_next[brand_id] = now + _ANSWERS_EVERY
            return False
        self._answers_read[brand_id] = last
        return True
