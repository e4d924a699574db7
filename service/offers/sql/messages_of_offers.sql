-- The messages by which brand $1 makes offers $2 to customers $3, of each the first $4.
SELECT
    made.offer_group, made.customer, made.message_id, made.channel, made.sent_at, made.delivered_at, made.opened_at,
    made.clicked_at, made.failed_at
FROM unnest($2::text[], $3::bigint[]) AS wanted (offer_group, customer)
CROSS JOIN LATERAL (
    SELECT * FROM rewards.offer_message
    WHERE offer_message.brand_id = $1 AND offer_message.offer_group = wanted.offer_group
        AND offer_message.customer = wanted.customer
    ORDER BY offer_message.sent_at, offer_message.message_id
    LIMIT $4
) AS made
ORDER BY made.sent_at, made.message_id
