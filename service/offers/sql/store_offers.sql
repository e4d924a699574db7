-- Stores offers of brand $1, each with its group ($2), customer ($3), campaign ($4), when it was made ($5) and lapses ($6), and whether
-- that was said ($7). One that is there lapses when it was said to, or else with the last of its messages.
INSERT INTO rewards.offer AS offer (brand_id, offer_group, customer, campaign_no, offered_at, lapses_at, is_stated)
SELECT $1, given.*
FROM unnest($2::text[], $3::bigint[], $4::integer[], $5::timestamptz[], $6::timestamptz[], $7::boolean[])
    AS given (offer_group, customer, campaign_no, offered_at, lapses_at, is_stated)
ON CONFLICT (brand_id, offer_group, customer) DO UPDATE
SET lapses_at = CASE WHEN excluded.is_stated THEN excluded.lapses_at ELSE greatest(offer.lapses_at, excluded.lapses_at) END,
    is_stated = excluded.is_stated
WHERE offer.campaign_no = excluded.campaign_no AND NOT offer.is_stated AND offer.state < 5
    AND (excluded.is_stated OR excluded.lapses_at > offer.lapses_at)
