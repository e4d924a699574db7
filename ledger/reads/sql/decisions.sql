-- The decisions of campaign $2 of a book $1, counted by outcome, channel and hour, of the $6 events after the key $3. Posted
-- ones count up to the seq $4, the others up to the time $5. last is the last key, after which the next part begins.

WITH part AS (
    SELECT event.key, event.outcome, event.channel, event.window_at, event.points, event.seq,
        event.place, event.decided_at
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = $2 AND event.key > $3
    ORDER BY event.key
    LIMIT $6
), last AS (
    SELECT part.key FROM part ORDER BY part.key DESC LIMIT 1
)
SELECT
    part.outcome, part.channel, date_trunc('hour', part.window_at, 'UTC') AS hour,
    count(*) FILTER (WHERE counted.is) AS events,
    coalesce(sum(part.points) FILTER (WHERE counted.is), 0)::bigint AS points,
    (SELECT last.key FROM last) AS last
FROM part
CROSS JOIN LATERAL (SELECT CASE WHEN part.place IS NULL THEN part.seq <= $4 ELSE part.decided_at <= $5 END AS is) AS counted
GROUP BY part.outcome, part.channel, hour
