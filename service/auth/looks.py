"""Looks at customers by persons: each is in the audit trail, once for a person, customer and hour, before the answer is sent.

    follow   what a guard does for every request: what a person looks at is noted from then on
    see      a customer whom the request has to do with
    see_id   something that is a customer's, by its id, where nothing says whose it is
    see_all  an answer that shows all customers
    record   writes what was noted; what cannot be written is not shown

What a system's key reads is not noted: it is in that system's own log who asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.audit_trail import LOCK
from service.auth.principal import Principal
from service.auth.tables import audit_trail
from service.http.identifiers import customer_id

ACT = "customer.look"
_AT_ONCE = 1_000


class _Look:
    """What one request of a person has looked at."""

    def __init__(self, engine: AsyncEngine, principal: Principal, scope: Any) -> None:
        self.engine = engine
        self.principal = principal
        self.scope = scope
        self.subjects: set[str] = set()

    @property
    def call(self) -> str:
        """What was called."""
        return f"{self.scope['method']} {self.scope.get('path_template') or self.scope['path']}"


# A customer is looked up far below the route, by code that does not know who asks, and need not.
_look: ContextVar[_Look | None] = ContextVar("look", default=None)


def follow(engine: AsyncEngine, principal: Principal, scope: Any) -> None:
    """Note what this request looks at from now on, if it is a person's."""
    if principal.person_id is not None:
        _look.set(_Look(engine, principal, scope))
    elif _look.get() is not None:
        _look.set(None)


def see(*customers: int) -> None:
    """Note customers, by our numbers."""
    look = _look.get()
    if look is not None:
        look.subjects.update(map(customer_id, customers))


def see_id(thing: str) -> None:
    """Note something of ours by its id, which names nobody."""
    look = _look.get()
    if look is not None:
        look.subjects.add(thing)


def see_all() -> None:
    """Note that the answer shows all customers: what is noted is the call."""
    look = _look.get()
    if look is not None:
        look.subjects.add(look.call)


async def record() -> None:
    """Write what was noted to the audit trail, under the person's key: their first look at each customer in this hour."""
    look = _look.get()
    if look is None:
        return
    subjects = sorted(look.subjects)
    for first in range(0, len(subjects), _AT_ONCE):
        await _insert(look, subjects[first : first + _AT_ONCE])


async def _insert(look: _Look, subjects: Iterable[str]) -> None:
    principal = look.principal
    hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
    rows = [
        {
            "brand_id": principal.brand.brand_id,
            "api_key_id": principal.api_key_id,
            "act": ACT,
            "subject": subject,
            "after": {"call": look.call},
            "request": hashlib.sha256(f"{principal.person_id} {subject} {hour}".encode()).digest(),
        }
        for subject in subjects
    ]
    async with look.engine.begin() as connection:
        await connection.execute(select(func.pg_advisory_xact_lock(LOCK, principal.brand.brand_id)))
        await connection.execute(insert(audit_trail).values(rows).on_conflict_do_nothing().inline())
