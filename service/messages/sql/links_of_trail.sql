-- Links of the messages $3 to the customers $2 of brand $1, oldest first, of the newest $4 links of each.
SELECT
    minted.link_id, minted.message_id, minted.campaign_no, minted.action, minted.channel, minted.label, minted.customer,
    minted.minted_at, minted.sent_at, minted.expires_at, minted.revoked_at
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT * FROM rewards.link WHERE link.customer = wanted.customer ORDER BY link.minted_at DESC LIMIT $4
) AS minted
WHERE minted.brand_id = $1 AND minted.message_id = ANY ($3::text[])
ORDER BY minted.minted_at, minted.link_id
