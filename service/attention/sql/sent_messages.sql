-- The messages to customers $1 that were sent after $2: in which links were minted, from the newest $3 links of each, and those
-- that were registered and sent by $4, from $3 of each. With each one's place in $1; looked_at says how many were looked at.

SELECT wanted.n, sent.channel, sent.message_id, max(sent.at) AS at, max(sent.looked_at) AS looked_at
FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (customer, n)
CROSS JOIN LATERAL (
    SELECT newest.*, count(*) OVER () AS looked_at
    FROM (
        SELECT link.channel, link.message_id, link.minted_at AS at
        FROM rewards.link
        WHERE link.customer = wanted.customer AND link.minted_at > $2
        ORDER BY link.minted_at DESC
        LIMIT $3
    ) AS newest
    UNION ALL
    SELECT registered.*, count(*) OVER () AS looked_at
    FROM (
        SELECT message.channel, message.message_id, message.sent_at AS at
        FROM rewards.message
        WHERE message.customer = wanted.customer AND message.sent_at > $2 AND message.sent_at <= $4
        LIMIT $3
    ) AS registered
) AS sent
GROUP BY wanted.n, sent.channel, sent.message_id
