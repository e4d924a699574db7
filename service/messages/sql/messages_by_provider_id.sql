-- A Message-ID and what is before its @ are one id: some providers name a mail by one of them, and replies by the other.
-- Messages of brand $1 that provider $2 sent, by its ids ($4) and, unless 0, by customers ($5); at most two of each, with its place in
-- the list ($3), whether it, its campaign, or the key that registered it was revoked, and the kinds of names that its customer has.
SELECT
    wanted.n, found.message_id, found.customer, found.campaign_no, found.channel,
    EXISTS (
        SELECT FROM rewards.link_revocation
        WHERE link_revocation.brand_id = $1 AND link_revocation.subject = ANY (ARRAY[
            'message ' || found.message_id, 'campaign ' || found.campaign_no, 'key ' || found.registered_by
        ])
    ) AS is_revoked,
    ARRAY(SELECT DISTINCT identity.kind FROM rewards.identity WHERE identity.customer = found.customer) AS kinds
FROM unnest($3::integer[], $4::text[], $5::bigint[]) AS wanted (n, provider_message_id, customer)
CROSS JOIN LATERAL (
    SELECT message.message_id, message.customer, message.campaign_no, message.channel, message.registered_by
    FROM rewards.message
    WHERE message.brand_id = $1 AND message.provider = $2 AND message.provider_message_id IS NOT NULL
        AND split_part(message.provider_message_id, '@', 1) = split_part(wanted.provider_message_id, '@', 1)
        AND (
            message.provider_message_id = wanted.provider_message_id
            OR strpos(message.provider_message_id, '@') = 0
            OR strpos(wanted.provider_message_id, '@') = 0
        )
        AND (wanted.customer = 0 OR message.customer = wanted.customer)
    ORDER BY message.customer, message.message_id
    LIMIT 2
) AS found
