-- Messages of brand $1 with the ids $2 that were registered for any of the customers $3, and whether each, its campaign, or the key
-- that registered it was revoked. In the order of the customers in $3.
SELECT
    message.message_id, message.customer, message.campaign_no, message.channel,
    EXISTS (
        SELECT FROM rewards.link_revocation
        WHERE link_revocation.brand_id = $1 AND link_revocation.subject = ANY (ARRAY[
            'message ' || message.message_id, 'campaign ' || message.campaign_no, 'key ' || message.registered_by
        ])
    ) AS is_revoked
FROM unnest($3::bigint[]) WITH ORDINALITY AS wanted (customer, place)
JOIN rewards.message
    ON message.brand_id = $1 AND message.message_id = ANY ($2::text[]) AND message.customer = wanted.customer
ORDER BY wanted.place, message.message_id
