-- Messages of brand $1 by their ids ($2) and customers ($3), each looked up by its key.
SELECT
    found.message_id, found.customer, found.campaign_no, found.channel, found.conversation, found.offer_group,
    found.provider, found.provider_message_id, found.sent_at
FROM unnest($2::text[], $3::bigint[]) AS wanted (message_id, customer)
CROSS JOIN LATERAL (
    SELECT * FROM rewards.message
    WHERE message.brand_id = $1 AND message.message_id = wanted.message_id AND message.customer = wanted.customer
    OFFSET 0
) AS found
