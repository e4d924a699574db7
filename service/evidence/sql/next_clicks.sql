-- Until when the next clicks were recorded: those after $1 and at least $2 old, in the partitions $3, at most $4 and what was
-- recorded at the same time.
SELECT max(next.recorded_at)
FROM (
    SELECT touch.recorded_at
    FROM rewards.touch
    WHERE touch.recorded_at > $1 AND touch.recorded_at <= clock_timestamp() - $2::interval AND touch.slot = ANY ($3::smallint[])
    ORDER BY touch.recorded_at
    LIMIT $4
) AS next
