-- For whom brand $1 had links minted after $2, from at most $3 of these, and how many these were.

SELECT coalesce(array_agg(DISTINCT newest.customer), '{}') AS customers, count(*) AS looked_at
FROM (
    SELECT link.customer
    FROM rewards.link
    WHERE link.brand_id = $1 AND link.minted_at > $2
    LIMIT $3
) AS newest
