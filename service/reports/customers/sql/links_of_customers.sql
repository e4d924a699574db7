-- The messages for which links of the customers $1 were minted, of each customer from the time in $2 to before $3, $4 links at most: by each
-- one's place in $1, channel and message. Also when the last of them was minted, and how many were read.

SELECT
    wanted.n, minted.channel, minted.message_id, max(minted.minted_at) AS last_minted_at, count(*) AS links
FROM unnest($1::bigint[], $2::timestamptz[]) WITH ORDINALITY AS wanted (customer, since, n)
CROSS JOIN LATERAL (
    SELECT link.channel, link.message_id, link.minted_at
    FROM rewards.link
    WHERE link.customer = wanted.customer AND link.minted_at >= wanted.since AND link.minted_at < $3
    ORDER BY link.minted_at
    LIMIT $4
) AS minted
GROUP BY wanted.n, minted.channel, minted.message_id
