"""Naming cuts."""

from __future__ import annotations

import hashlib

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Cut, Ledger
from service.auth.audit_trail import record
from service.auth.principal import Principal


async def take_cut(engine: AsyncEngine, ledger: Ledger, principal: Principal, name: str) -> tuple[Cut, bool]:
    """Cut the book and keep the cut under ``name``; the flag says whether it is new."""
    # The books are posted in a transaction of their own, so who asked first is recorded first; the cut says when it was taken.
    async with engine.begin() as connection:
        await record(connection, principal, "cut.take", name, request=hashlib.sha256(name.encode()).digest())
    return await ledger.take_cut(principal.brand.book, name)
