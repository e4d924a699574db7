"""The end of a test's wire that is at the database, on whichever kind of socket it listens."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote, urlsplit


async def connect_to(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the database of ``url``, and say nothing yet."""
    parts = urlsplit(url)
    host, port = unquote(parts.netloc.rpartition("@")[2].partition(":")[0]), parts.port or 5432
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)
