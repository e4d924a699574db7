"""The agent that counts touches, a few thousand at a time, so that what they came to is known when they are gone.

A touch is counted some seconds after it was recorded, when it is known what else was fetched around it. Beside how many there
were of which grade, two things are counted, for what machines were not paid:

    firsts     links that nobody had touched before: where a design that pays whoever comes first would have paid
    followed   links whose first touch was a machine's, and on which a person then acted: those were owed anyway, and count on
               the day of that first touch

Whoever reads does so once: the reader's row says how far it has come, and is locked meanwhile.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from service.evidence.bot_detection import SIBLINGS_OF_A_MACHINE, SIBLINGS_WITHIN_S
from service.evidence.click_log import PARTITIONS, SIBLINGS_COUNTED_MAX, slots_between

COUNTED_AT_ONCE = 2_000
LAG = timedelta(seconds=15)
"""No touch that is recorded is invisible for so long, and none has siblings that are recorded so late."""

_SINCE = "SELECT counted_until FROM rewards.touch_reader FOR UPDATE SKIP LOCKED"
_UNTIL = """
SELECT max(next.recorded_at)
FROM (
    SELECT touch.recorded_at
    FROM rewards.touch
    WHERE touch.recorded_at > $1 AND touch.recorded_at <= clock_timestamp() - $2::interval AND touch.slot = ANY ($3::smallint[])
    ORDER BY touch.recorded_at
    LIMIT $4
) AS next
"""
_MOVE = "UPDATE rewards.touch_reader SET counted_until = $1"

_COUNT = """
WITH fresh AS MATERIALIZED (
    SELECT touch.*
    FROM rewards.touch
    WHERE touch.recorded_at > $1 AND touch.recorded_at <= $2 AND touch.slot = ANY ($3::smallint[])
), judged AS (
    SELECT
        fresh.brand_id, (fresh.at AT TIME ZONE 'UTC')::date AS day, fresh.campaign_no, fresh.way, fresh.points,
        CASE WHEN around.links >= $5 THEN 'X' ELSE fresh.grade END AS grade,
        CASE WHEN around.links >= $5 THEN 'siblings' ELSE fresh.why END AS why,
        NOT EXISTS (
            SELECT FROM rewards.touch AS earlier
            WHERE earlier.message = fresh.message AND earlier.link_id = fresh.link_id
                AND (earlier.at, earlier.recorded_at) < (fresh.at, fresh.recorded_at)
        ) AS is_first,
        CASE WHEN first.grade = 'X' OR around_first.links >= $5 THEN (first.at AT TIME ZONE 'UTC')::date END AS follows_day
    FROM fresh
    LEFT JOIN LATERAL (
        SELECT count(DISTINCT sibling.link_id) AS links
        FROM (
            SELECT touch.link_id FROM rewards.touch
            WHERE touch.message = fresh.message AND touch.at BETWEEN fresh.at - $4::interval AND fresh.at + $4::interval
                AND touch.way IN ('look', 'handoff', 'redirect')
            LIMIT $6
        ) AS sibling
    ) AS around ON fresh.way IN ('look', 'handoff', 'redirect') AND fresh.grade IN ('C', 'D')
    LEFT JOIN LATERAL (
        SELECT touch.grade, touch.way, touch.at
        FROM rewards.touch
        WHERE touch.message = fresh.message AND touch.link_id = fresh.link_id
        ORDER BY touch.at, touch.recorded_at
        LIMIT 1
    ) AS first ON fresh.way IN ('claim', 'confirm', 'redirect') AND fresh.grade IN ('A', 'B', 'C')
        AND coalesce(around.links, 0) < $5
        AND NOT EXISTS (
            SELECT FROM rewards.touch AS acted
            WHERE acted.message = fresh.message AND acted.link_id = fresh.link_id
                AND acted.way IN ('claim', 'confirm', 'redirect') AND acted.grade IN ('A', 'B', 'C')
                AND (acted.at, acted.recorded_at) < (fresh.at, fresh.recorded_at)
        )
    LEFT JOIN LATERAL (
        SELECT count(DISTINCT sibling.link_id) AS links
        FROM (
            SELECT touch.link_id FROM rewards.touch
            WHERE touch.message = fresh.message AND touch.at BETWEEN first.at - $4::interval AND first.at + $4::interval
                AND touch.way IN ('look', 'handoff', 'redirect')
            LIMIT $6
        ) AS sibling
    ) AS around_first ON first.way IN ('look', 'handoff', 'redirect') AND first.grade IN ('C', 'D')
), counted AS (
    INSERT INTO rewards.touch_count AS sums (
        brand_id, day, campaign_no, way, grade, why, touches, firsts, first_points, followed, followed_points
    )
    SELECT
        each.brand_id, each.day, each.campaign_no, each.way, each.grade, each.why, sum(each.touches), sum(each.firsts),
        sum(each.firsts * each.points), sum(each.followed), sum(each.followed * each.points)
    FROM (
        SELECT brand_id, day, campaign_no, way, grade, why, points, 1 AS touches, is_first::int AS firsts, 0 AS followed
        FROM judged
        UNION ALL
        SELECT brand_id, follows_day, campaign_no, way, grade, why, points, 0, 0, 1
        FROM judged
        WHERE follows_day IS NOT NULL
    ) AS each
    GROUP BY each.brand_id, each.day, each.campaign_no, each.way, each.grade, each.why
    ON CONFLICT (brand_id, day, campaign_no, way, grade, why) DO UPDATE SET
        touches = sums.touches + excluded.touches, firsts = sums.firsts + excluded.firsts,
        first_points = sums.first_points + excluded.first_points, followed = sums.followed + excluded.followed,
        followed_points = sums.followed_points + excluded.followed_points
)
SELECT count(*)::int FROM fresh
"""


async def run_once(pool: asyncpg.Pool[Any], *, limit: int = COUNTED_AT_ONCE, lag: timedelta = LAG) -> int:
    """Count the next touches. Returns how many; 0 means that there are none, or that another worker is at it."""
    async with pool.acquire() as connection, connection.transaction():
        since: datetime | None = await connection.fetchval(_SINCE)
        if since is None:
            return 0
        today = datetime.now(UTC).date()
        slots = slots_between(max(since.astimezone(UTC).date(), today - timedelta(days=PARTITIONS)), today)
        until: datetime | None = await connection.fetchval(_UNTIL, since, lag, slots, limit)
        if until is None:
            return 0
        around = timedelta(seconds=SIBLINGS_WITHIN_S)
        counted: int = await connection.fetchval(
            _COUNT, since, until, slots, around, SIBLINGS_OF_A_MACHINE, SIBLINGS_COUNTED_MAX
        )
        await connection.execute(_MOVE, until)
        return counted
