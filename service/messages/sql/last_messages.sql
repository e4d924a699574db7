-- The last message that was sent to each of the customers $3 of brand $1 on their channel ($4), after $5 and not after $6, with its
-- place in the list ($2), when it was sent, and whether it, its campaign, or the key that made it was revoked. Of links, the newest
-- hundred are looked through, and none that the brand signed itself: those are stored when they are followed.
SELECT
    wanted.n, last.sent_at, last.message_id, last.customer, last.campaign_no, wanted.channel,
    last.is_revoked OR EXISTS (
        SELECT FROM rewards.link_revocation
        WHERE link_revocation.brand_id = $1 AND link_revocation.subject = ANY (ARRAY[
            'message ' || last.message_id, 'campaign ' || last.campaign_no, 'key ' || last.made_by
        ])
    ) AS is_revoked
FROM unnest($2::integer[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    AS wanted (n, customer, channel, since, until)
CROSS JOIN LATERAL (
    SELECT sent.* FROM (
        (
            SELECT message.message_id, message.customer, message.campaign_no, message.sent_at, message.registered_by AS made_by,
                false AS is_revoked
            FROM rewards.message
            WHERE message.customer = wanted.customer AND message.channel = wanted.channel
                AND message.sent_at > wanted.since AND message.sent_at <= wanted.until
            ORDER BY message.sent_at DESC, message.message_id DESC
            LIMIT 1
        )
        UNION ALL
        (
            SELECT newest.message_id, newest.customer, newest.campaign_no, newest.sent_at, newest.minted_by AS made_by,
                newest.is_revoked
            FROM (
                SELECT link.message_id, link.customer, link.campaign_no, link.channel, link.minted_by,
                    coalesce(link.sent_at, link.minted_at) AS sent_at, link.revoked_at IS NOT NULL AS is_revoked
                FROM rewards.link
                WHERE link.customer = wanted.customer AND link.minted_at <= wanted.until
                ORDER BY link.minted_at DESC
                LIMIT 100
            ) AS newest
            WHERE newest.channel = wanted.channel AND newest.minted_by > 0
                AND newest.sent_at > wanted.since AND newest.sent_at <= wanted.until
            ORDER BY newest.sent_at DESC, newest.message_id DESC
            LIMIT 1
        )
    ) AS sent
    ORDER BY sent.sent_at DESC, sent.message_id DESC
    LIMIT 1
) AS last
