-- How many links of each message ($1) were fetched within $3 before or after an instant ($2), at most $5, in the partitions $4.
-- What is claimed or confirmed is no fetching: a person who presses a button has looked before. Partitions are named one by one,
-- because a list that is a parameter leaves none out.
SELECT count(DISTINCT near.link_id)::int
FROM unnest($1::bytea[], $2::timestamptz[]) WITH ORDINALITY AS wanted (message, at, n)
CROSS JOIN unnest($4::smallint[]) AS day (slot)
LEFT JOIN LATERAL (
    SELECT touch.link_id
    FROM rewards.touch
    WHERE touch.slot = day.slot AND touch.message = wanted.message
        AND touch.at BETWEEN wanted.at - $3::interval AND wanted.at + $3::interval
        AND touch.way IN ('look', 'handoff', 'redirect')
    LIMIT $5
) AS near ON true
GROUP BY wanted.n
ORDER BY wanted.n
