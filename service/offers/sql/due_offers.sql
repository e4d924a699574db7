-- Open offers of brand $1 that lapsed by $2, those that lapsed first, at most $3, each with its messages, of which $4 are named.
SELECT
    offer.offer_group, offer.customer, offer.campaign_no, offer.lapses_at,
    ARRAY(
        SELECT made.message_id FROM rewards.offer_message AS made
        WHERE made.brand_id = $1 AND made.offer_group = offer.offer_group AND made.customer = offer.customer
        ORDER BY made.sent_at, made.message_id
        LIMIT $4
    ) AS message_ids
FROM rewards.offer
WHERE offer.brand_id = $1 AND offer.state < 5 AND offer.lapses_at <= $2
ORDER BY offer.lapses_at
LIMIT $3
