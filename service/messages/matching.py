"""Finding the message that a provider's event is of, by what was registered and by the links that were minted.

    by_provider_id   the messages that have a provider's id
    last_sent        the last message that was sent to a customer on a channel
    remember         which message each reply was taken to answer: the first time decides

Each is one statement for many, or two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import asyncpg
import msgspec

from service.messages.queries import SQL

_BY_PROVIDER_ID = (SQL / "messages_by_provider_id.sql").read_text()
_LAST = (SQL / "last_messages.sql").read_text()
_NOTE = (SQL / "note_answered.sql").read_text()
_ANSWERED = (SQL / "answered_messages.sql").read_text()

ANYBODY = 0


class Sent(msgspec.Struct, frozen=True, gc=False):
    """A message that was sent. ``message_id`` is ``None`` if it is forgotten. ``kinds`` are those of the names that its
    customer has, where it was looked for by the provider's id.
    """

    message_id: str | None
    customer: int
    campaign_no: int
    channel: str
    is_revoked: bool
    kinds: Sequence[int] = ()


class LastWanted(msgspec.Struct, frozen=True, gc=False):
    """Whose last message on which channel is wanted: sent after ``since`` and not after ``until``."""

    customers: Sequence[int]
    channel: str
    since: datetime
    until: datetime


async def by_provider_id(
    pool: asyncpg.Pool[Any], brand_id: int, provider: str, wanted: Sequence[tuple[str, Sequence[int]]]
) -> list[list[Sent]]:
    """Messages by the provider's id, at most two for each of ``wanted``: an id and for whom, or for ``ANYBODY``."""
    asked = [(n, provider_id, customer) for n, (provider_id, numbers) in enumerate(wanted) for customer in numbers]
    found: list[list[Sent]] = [[] for _ in wanted]
    rows: list[Any] = await pool.fetch(_BY_PROVIDER_ID, brand_id, provider, *_columns(asked, 3))
    for n, *row in rows:
        found[int(n)].append(Sent(*row))
    return found


async def last_sent(pool: asyncpg.Pool[Any], brand_id: int, wanted: Sequence[LastWanted]) -> list[Sent | None]:
    """The last message for each of ``wanted``, in order."""
    asked = [
        (n, customer, each.channel, each.since, each.until) for n, each in enumerate(wanted) for customer in each.customers
    ]
    latest: dict[int, tuple[datetime, Sent]] = {}
    rows: list[Any] = await pool.fetch(_LAST, brand_id, *_columns(asked, 5))
    for n, sent_at, *row in rows:
        # Of a customer who has had several numbers, each has a last one.
        if n not in latest or latest[n][0] < sent_at:
            latest[n] = sent_at, Sent(*row)
    return [latest[n][1] if n in latest else None for n in range(len(wanted))]


def reply_key(provider: str, natural_key: str) -> bytes:
    """What a reply is known by."""
    return blake2b(f"{provider}:{natural_key}".encode(), digest_size=16, person=b"answered message").digest()


async def remembered(
    pool: asyncpg.Pool[Any], brand_id: int, replies: Sequence[bytes], channels: Mapping[bytes, str]
) -> dict[bytes, Sent]:
    """Which messages replies were taken to answer; ``channels`` are those of the replies."""
    rows = await pool.fetch(_ANSWERED, brand_id, replies)
    return {
        row["reply"]: Sent(row["message_id"], row["customer"], row["campaign_no"], channels[row["reply"]], row["is_revoked"])
        for row in rows
    }


async def remember(pool: asyncpg.Pool[Any], brand_id: int, taken: Mapping[bytes, Sent]) -> None:
    """Note which message each reply is taken to answer, unless it is noted already."""
    rows = [(reply, taken[reply].customer, taken[reply].campaign_no, taken[reply].message_id) for reply in sorted(taken)]
    await pool.execute(_NOTE, brand_id, *_columns(rows, 4))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]
