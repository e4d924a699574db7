-- The messages for which links of customers $1 were minted after $2, with each one's place in $1, from the newest $3 links of
-- each; looked_at says how many these were.

SELECT wanted.n, minted.channel, minted.message_id, max(minted.minted_at) AS at, max(minted.looked_at) AS looked_at
FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (customer, n)
CROSS JOIN LATERAL (
    SELECT newest.*, count(*) OVER () AS looked_at
    FROM (
        SELECT link.channel, link.message_id, link.minted_at
        FROM rewards.link
        WHERE link.customer = wanted.customer AND link.minted_at > $2
        ORDER BY link.minted_at DESC
        LIMIT $3
    ) AS newest
) AS minted
GROUP BY wanted.n, minted.channel, minted.message_id
