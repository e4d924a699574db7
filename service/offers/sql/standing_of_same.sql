-- When the last offer of group $2 to any of the customers $3 of brand $1 in campaign $4 lapses: they are one customer.
SELECT max(offer.lapses_at) FROM rewards.offer
WHERE offer.brand_id = $1 AND offer.offer_group = $2 AND offer.customer = ANY ($3::bigint[]) AND offer.campaign_no = $4
