-- Which messages the replies $2 of brand $1 were taken to answer, and whether that message, its campaign, or the key
-- that registered it was revoked.
SELECT
    answered.reply, answered.customer, answered.campaign_no, answered.message_id,
    EXISTS (
        SELECT FROM rewards.link_revocation
        WHERE link_revocation.brand_id = $1 AND link_revocation.subject = ANY (ARRAY[
            'message ' || answered.message_id, 'campaign ' || answered.campaign_no, 'key ' || message.registered_by
        ])
    ) AS is_revoked
FROM rewards.answered_message AS answered
LEFT JOIN rewards.message
    ON message.brand_id = $1 AND message.message_id = answered.message_id AND message.customer = answered.customer
WHERE answered.brand_id = $1 AND answered.reply = ANY ($2::bytea[])
