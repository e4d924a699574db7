-- Links that the customers $2 of brand $1 were sent, after link $3, at most $4.

SELECT link.link_id, jsonb_build_object(
    'campaign', coalesce(campaign.id, link.campaign_no::text), 'message_id', link.message_id, 'action', link.action,
    'channel', link.channel, 'label', link.label, 'destination', destination.url, 'minted_at', link.minted_at,
    'sent_at', link.sent_at, 'expires_at', link.expires_at
)::text, link.customer, link.message_id
FROM rewards.link
LEFT JOIN rewards.campaign ON campaign.campaign_no = link.campaign_no
LEFT JOIN rewards.destination ON destination.destination_no = link.destination_no
WHERE link.brand_id = $1 AND link.customer = ANY ($2::bigint[]) AND link.link_id > $3::bytea
ORDER BY link.link_id
LIMIT $4
