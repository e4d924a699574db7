-- Notes that offers $2 of brand $1 to customers $3 have ended: in state $4, at $5. What has ended stays as it is.
UPDATE rewards.offer
SET state = ended.state, ended_at = ended.ended_at
FROM unnest($2::text[], $3::bigint[], $4::smallint[], $5::timestamptz[]) AS ended (offer_group, customer, state, ended_at)
WHERE offer.brand_id = $1 AND offer.offer_group = ended.offer_group AND offer.customer = ended.customer AND offer.state < 5
