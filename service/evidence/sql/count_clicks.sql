-- Counts the clicks that were recorded after $1 until $2, in the partitions $3, each judged with what was fetched within $4 around
-- it: $5 links make a machine, and no more than $6 are looked at. Returns how many clicks there were.
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
