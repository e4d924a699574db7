-- The offers of brand $1 that messages $2 make to any of the customers $3, in the order in which they were made, at most $4.
SELECT DISTINCT
    offer.offer_no, offer.offer_group, offer.customer, offer.campaign_no, offer.state, offer.offered_at, offer.lapses_at,
    offer.ended_at
FROM unnest($2::text[]) AS asked (message_id)
CROSS JOIN unnest($3::bigint[]) AS known (customer)
JOIN rewards.offer_message AS made
    ON made.brand_id = $1 AND made.message_id = asked.message_id AND made.customer = known.customer
JOIN rewards.offer
    ON offer.brand_id = $1 AND offer.offer_group = made.offer_group AND offer.customer = made.customer
ORDER BY offer.offer_no
LIMIT $4
