-- Stores messages of brand $1 that are not there yet, registered by key $2; what is there stays as it is. Returns the new ones.
INSERT INTO rewards.message (
    brand_id, registered_by, message_id, customer, campaign_no, channel, conversation, offer_group, provider,
    provider_message_id, sent_at
)
SELECT $1, $2, given.*
FROM unnest($3::text[], $4::bigint[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[])
    AS given (
        message_id, customer, campaign_no, channel, conversation, offer_group, provider, provider_message_id, sent_at
    )
ON CONFLICT DO NOTHING
RETURNING message.message_id, message.customer
