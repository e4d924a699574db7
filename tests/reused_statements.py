"""SQLAlchemy's statements, compiled once for all engines.

By itself each engine compiles again what it is asked for, and each application of a test has engines of its own: some ten
statements a test, and ten milliseconds of processor time.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage import database


@contextlib.contextmanager
def compiled_once() -> Generator[None]:
    """Let the service's engines share what they have compiled."""
    create = database.create_async_engine
    first: Engine | None = None

    def create_sharing(url: str, **options: Any) -> AsyncEngine:
        nonlocal first
        engine = create(url, **options)
        # A dialect is complete with its first connection.
        if first is None or first.dialect.server_version_info is None:
            first = engine.sync_engine
        else:
            # What is compiled is known by its dialect. The options that an engine's dialect has are the same for all.
            engine.sync_engine.dialect = first.dialect
            engine.sync_engine._compiled_cache = first._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "create_async_engine", create_sharing)
        yield
