"""What one process asks of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest


def statements_sent(monkeypatch: pytest.MonkeyPatch, counts: Callable[[str], bool]) -> list[str]:
    """The statements that this process sends from now on, of those that ``counts``."""
    statements: list[str] = []

    def counting(name: str) -> Any:
        send = getattr(asyncpg.Connection, name)

        def counted(self: asyncpg.Connection[Any], query: str, *arguments: Any, **options: Any) -> Any:
            if counts(query):
                statements.append(query)
            return send(self, query, *arguments, **options)

        return counted

    for name in ("fetch", "fetchrow", "fetchval", "execute", "prepare"):
        monkeypatch.setattr(asyncpg.Connection, name, counting(name))
    return statements
