-- The offers of brand $1 that messages $3 make to customers $4 in campaigns $5, each with its place in the list ($2), and the ids of
-- the messages that make it, at most $6. Each is looked up by its key.
SELECT
    wanted.n, offered.offer_group, offered.lapses_at,
    ARRAY(
        SELECT sibling.message_id FROM rewards.offer_message AS sibling
        WHERE sibling.brand_id = $1 AND sibling.offer_group = offered.offer_group AND sibling.customer = wanted.customer
        ORDER BY sibling.sent_at, sibling.message_id
        LIMIT $6
    ) AS message_ids
FROM unnest($2::integer[], $3::text[], $4::bigint[], $5::integer[]) AS wanted (n, message_id, customer, campaign_no)
CROSS JOIN LATERAL (
    SELECT offer_message.offer_group FROM rewards.offer_message
    WHERE offer_message.brand_id = $1 AND offer_message.message_id = wanted.message_id AND offer_message.customer = wanted.customer
    OFFSET 0
) AS made
CROSS JOIN LATERAL (
    SELECT offer.offer_group, offer.lapses_at FROM rewards.offer
    WHERE offer.brand_id = $1 AND offer.offer_group = made.offer_group AND offer.customer = wanted.customer
        AND offer.campaign_no = wanted.campaign_no
    OFFSET 0
) AS offered
