-- Messages that the customers $2 of brand $1 were sent, after $3 in the order of their ids and customers, at most $4.

SELECT found.place, found.item
FROM (
    SELECT message.message_id || chr(1) || lpad(message.customer::text, 20, '0') AS place, jsonb_build_object(
        'message_id', message.message_id, 'campaign', coalesce(campaign.id, message.campaign_no::text),
        'channel', message.channel, 'conversation', message.conversation, 'offer_group', message.offer_group,
        'provider', message.provider, 'provider_message_id', message.provider_message_id, 'sent_at', message.sent_at,
        'registered_at', message.registered_at
    )::text AS item
    FROM rewards.message
    LEFT JOIN rewards.campaign ON campaign.campaign_no = message.campaign_no
    WHERE message.brand_id = $1 AND message.customer = ANY ($2::bigint[])
) AS found
WHERE found.place > $3::text
ORDER BY found.place
LIMIT $4
