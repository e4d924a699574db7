-- Links of the brand $1 that were minted from $2 to before $3 and on the business date $4 of the time zone $5, after the link $7
-- of the time $6: in the order of those two, $8 at most.

SELECT
    $4::date AS business_date, 'grt_' || encode(link.link_id, 'hex') AS grant_id, link.campaign_no, campaign.id AS campaign,
    link.campaign_version, link.customer, link.message_id, link.action, link.channel, link.label,
    link.kind, link.mode, link.minted_by AS principal,
    link.minted_at, link.sent_at, link.expires_at, link.link_id
FROM rewards.link
LEFT JOIN rewards.campaign ON campaign.campaign_no = link.campaign_no
WHERE link.brand_id = $1::integer AND link.minted_at >= $2::timestamptz AND link.minted_at < $3::timestamptz
    AND (link.minted_at AT TIME ZONE $5::text)::date = $4::date
    AND (link.minted_at, link.link_id) > ($6::timestamptz, $7::bytea)
ORDER BY link.minted_at, link.link_id
LIMIT $8::integer
