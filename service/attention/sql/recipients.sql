-- Whom brand $1 wrote to after $2: for whom links were minted, and to whom messages were registered that were sent by $4; from at
-- most $3 of each. And the larger number of what was looked at.

SELECT coalesce(array_agg(DISTINCT written.customer), '{}') AS customers, coalesce(max(written.looked_at), 0) AS looked_at
FROM (
    SELECT newest.customer, count(*) OVER () AS looked_at
    FROM (
        SELECT link.customer
        FROM rewards.link
        WHERE link.brand_id = $1 AND link.minted_at > $2
        LIMIT $3
    ) AS newest
    UNION ALL
    SELECT registered.customer, count(*) OVER () AS looked_at
    FROM (
        SELECT message.customer
        FROM rewards.message
        WHERE message.brand_id = $1 AND message.sent_at > $2 AND message.sent_at <= $4
        LIMIT $3
    ) AS registered
) AS written
