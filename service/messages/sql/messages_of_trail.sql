-- Messages of brand $1 with the id $2 or in the conversation $3, of customers $4 (NULL: of anybody), oldest first, at most $5.
SELECT
    message.message_id, message.customer, message.campaign_no, message.channel, message.conversation, message.offer_group,
    message.provider, message.provider_message_id, message.sent_at
FROM rewards.message
WHERE message.brand_id = $1 AND message.message_id = $2 AND ($4::bigint[] IS NULL OR message.customer = ANY ($4))
UNION ALL
SELECT
    message.message_id, message.customer, message.campaign_no, message.channel, message.conversation, message.offer_group,
    message.provider, message.provider_message_id, message.sent_at
FROM rewards.message
WHERE message.brand_id = $1 AND message.conversation = $3 AND ($4::bigint[] IS NULL OR message.customer = ANY ($4))
ORDER BY sent_at, message_id, customer
LIMIT $5
