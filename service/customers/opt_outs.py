"""When a customer refused which channel, derived from their consents; and how other processes notice a change.

    has_refused               whether a channel, or every reward, was refused at a time
    promised_before_opt_out   whether a link was minted before the refusal
    refresh_opt_outs          recompute the opt-outs of customers with new consents, or after a merge
    changed_since             the customers whose opt-outs were recomputed since

The rows of ``consent`` count under all numbers a customer ever had, by time and not by order of arrival: a channel is refused
from a refusal that follows no other until it is next granted; at equal times the refusal wins. The result is stored with the
customer (``customer.refused``), so each look-up includes it: for each channel the times at which a refusal began,
ended, began again, in microseconds since 1970. It is NULL for nearly everybody.

Each change gets the brand's next number (``brand.consent_no``) under the lock of the brand's row, so a reader who sees a number
can see every change up to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from ledger import unix_microseconds
from service.brands.brand import Brand

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

OptOuts: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""Channels, each with the times at which a refusal began, ended, began again ..., in microseconds since 1970."""

ALL = "rewards"
"""Stands for every channel: a customer who refuses this gets no rewards at all."""

SWITCHES_MAX = 32
"""How many switches a channel keeps; older ones are in the history and no longer count."""

_NEARLY_A_SECOND = timedelta(microseconds=999_999)

_SQL = Path(__file__).with_name("sql")
_FOLLOWS = (_SQL / "opt_outs.sql").read_text()
_NEXT_NUMBER = "UPDATE rewards.brand SET consent_no = brand.consent_no + 1 WHERE brand.brand_id = $1 RETURNING brand.consent_no"
_KEEP = """
UPDATE rewards.customer SET refused = follows.refused::jsonb, consent_no = $3
FROM unnest($1::bigint[], $2::text[]) AS follows (customer, refused)
WHERE customer.customer = follows.customer
"""
_CHANGED = (_SQL / "changed_opt_outs.sql").read_text()

_decode = msgspec.json.Decoder(dict[str, tuple[int, ...]]).decode


def decode_opt_outs(kept: str | None) -> OptOuts:
    """Decode the stored text."""
    return () if kept is None else tuple(_decode(kept).items())


def has_refused(refused: OptOuts, channel: str, at: datetime) -> bool:
    """Whether the channel, or all of them, was refused at that time, the moment of the refusal included."""
    moment = unix_microseconds(at)
    return any(named in {channel, ALL} and bisect_right(times, moment) % 2 for named, times in refused)


def promised_before_opt_out(refused: OptOuts, channel: str, minted_at: datetime) -> bool:
    """Whether a link was minted while its channel was not refused. Minting is known to the second, in the customer's favour."""
    return not (has_refused(refused, channel, minted_at) and has_refused(refused, channel, minted_at + _NEARLY_A_SECOND))


async def refresh_opt_outs(connection: Connection, brand: Brand, customers: Sequence[int]) -> None:
    """Recompute the opt-outs of ``customers``, all of them survivors, from all their consents.

    The caller has changed or locked their rows in this transaction. From here to its end it holds the brand's row.
    """
    follows = await connection.fetch(_FOLLOWS, customers, SWITCHES_MAX)
    if not follows:
        return
    number = await connection.fetchval(_NEXT_NUMBER, brand.brand_id)
    await connection.execute(_KEEP, [row["survivor"] for row in follows], [row["refused"] for row in follows], number)


async def changed_since(pool: asyncpg.Pool[Any], brand: Brand, since: int, *, limit: int) -> list[int] | None:
    """All numbers of customers whose consents changed after the change ``since``; ``None`` if more than ``limit``."""
    rows = await pool.fetch(_CHANGED, brand.brand_id, since, limit + 1)
    return None if len(rows) > limit else [row["customer"] for row in rows]
