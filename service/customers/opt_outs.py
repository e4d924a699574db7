"""When a customer refused to be contacted where: what follows from all that was said, and how other processes hear of it.

    has_refused    whether she had refused a channel at a time, or to be rewarded at all
    is_promised    whether a link is older than that
    bring_up       work out what follows from the rows of ``consent``, for those of whom something was said or who were merged
    changed        whose was worked out anew since

What was said is rows of ``consent``, of all numbers a customer has ever had. By time, never by order of arrival: she refuses a
channel from each refusal that follows no other to the next time it is granted; at equal times the refusal wins. What follows
is kept with her (``customer.refused``), so that looking her up says it too: for each channel the times at which it began,
ended, began again, in microseconds since 1970. It is NULL for nearly everybody.

Each change has a number of the brand's (``brand.consent_no``), given out under the lock of the brand's row, so whoever sees a
number can see all up to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from service.brands.brand import Brand

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

OptOuts: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""Channels, each with the times at which she began to refuse it, ended, began again ..., in microseconds since 1970."""

ALL = "rewards"
"""What stands for every channel: who refuses this wants no rewards, wherever she acts."""

SWITCHES_MAX = 32
"""Of so many beginnings and ends a channel has the last; what is older is in the history, and no longer counts."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
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
    """What is kept with a customer, as text."""
    return () if kept is None else tuple(_decode(kept).items())


def has_refused(refused: OptOuts, channel: str, at: datetime) -> bool:
    """Whether she had refused the channel at that time, or all: from the very moment on at which she said so."""
    moment = (at - _EPOCH) // _MICROSECOND
    return any(named in {channel, ALL} and bisect_right(times, moment) % 2 for named, times in refused)


def promised_before_opt_out(refused: OptOuts, channel: str, minted_at: datetime) -> bool:
    """Whether a link was minted while she did not refuse its channel. It is known to the second, which is taken for her."""
    return not (has_refused(refused, channel, minted_at) and has_refused(refused, channel, minted_at + _NEARLY_A_SECOND))


async def refresh_opt_outs(connection: Connection, brand: Brand, customers: Sequence[int]) -> None:
    """Keep with each of ``customers``, all of them survivors, what follows from all that was said of her and of those merged.

    The caller has changed or locked their rows in this transaction. From here to its end it holds the brand's row.
    """
    follows = await connection.fetch(_FOLLOWS, customers, SWITCHES_MAX)
    if not follows:
        return
    number = await connection.fetchval(_NEXT_NUMBER, brand.brand_id)
    await connection.execute(_KEEP, [row["survivor"] for row in follows], [row["refused"] for row in follows], number)


async def changed_since(pool: asyncpg.Pool[Any], brand: Brand, since: int, *, limit: int) -> list[int] | None:
    """All numbers of those whose consents were changed after the change ``since``; ``None`` if they are more than ``limit``."""
    rows = await pool.fetch(_CHANGED, brand.brand_id, since, limit + 1)
    return None if len(rows) > limit else [row["customer"] for row in rows]
