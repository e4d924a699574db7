"""Reads: messages by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec


class SentMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as it was registered. ``customer`` is the number that their name led to."""

    message_id: str
    customer: int
    campaign_no: int
    channel: str
    conversation: str | None
    offer_group: str | None
    provider: str
    provider_message_id: str | None
    sent_at: datetime


SQL = Path(__file__).with_name("sql")
_BY_ID = (SQL / "messages_by_id.sql").read_text()


async def messages_by_id(
    pool: asyncpg.Pool[Any], brand_id: int, keys: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], SentMessage]:
    """The messages that are registered of ``keys``: an id and a customer each."""
    rows = await pool.fetch(_BY_ID, brand_id, [message_id for message_id, _ in keys], [customer for _, customer in keys])
    found = [SentMessage(*row) for row in rows]
    return {(each.message_id, each.customer): each for each in found}
