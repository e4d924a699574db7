"""The calendars that brands keep their books by: which day it is, as the database has it (see ``ledger.reads.calendars``).

The calendar is learnt when a brand is read, so code that has a brand can tell its day.
"""

from __future__ import annotations

import time
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import Calendar, read_calendar
from service.storage.database import driver_of

_AGAIN_AFTER_S = 3_600.0
"""A database that was given newer time zones was restarted, which we may not have been."""

_known: dict[str, tuple[float, Calendar]] = {}


def calendar_of(time_zone: str) -> Calendar:
    """The calendar of the time zone of a brand that was read."""
    return _known[time_zone][1]


async def learn(connection: AsyncConnection, time_zone: str) -> None:
    """Know the calendar of a time zone; it is read where it is not known, and now and then again."""
    if _is_unknown(time_zone):
        await learn_from(await driver_of(connection), time_zone)


async def learn_from(connection: asyncpg.Connection[Any], time_zone: str) -> None:
    """The same by a connection of the driver's."""
    if _is_unknown(time_zone):
        _known[time_zone] = (time.monotonic(), await read_calendar(connection, time_zone))


def _is_unknown(time_zone: str) -> bool:
    known = _known.get(time_zone)
    return known is None or time.monotonic() - known[0] > _AGAIN_AFTER_S
