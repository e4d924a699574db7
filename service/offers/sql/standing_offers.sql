-- Offers of brand $1 by group ($2) and customer ($3), and the messages $4 to the customers $5, each with the offer it makes.
SELECT 'offer' AS what, offer.offer_group AS name, offer.customer, offer.campaign_no::text AS said, offer.is_stated, offer.lapses_at
FROM unnest($2::text[], $3::bigint[]) AS wanted (offer_group, customer)
JOIN rewards.offer
    ON offer.brand_id = $1 AND offer.offer_group = wanted.offer_group AND offer.customer = wanted.customer
UNION ALL
SELECT 'message', made.message_id, made.customer, made.offer_group, false, NULL
FROM unnest($4::text[], $5::bigint[]) AS wanted (message_id, customer)
JOIN rewards.offer_message AS made
    ON made.brand_id = $1 AND made.message_id = wanted.message_id AND made.customer = wanted.customer
