-- Offers of brand $1 after the number $2, at most $3: in states $4, of group $5, to customers $6; NULL is any. Each part reads what an
-- index has in this order, or the few offers of a customer.
SELECT
    found.offer_no, found.offer_group, found.customer, found.campaign_no, found.state, found.offered_at, found.lapses_at, found.ended_at
FROM (
    SELECT of_state.*
    FROM unnest($4::smallint[]) AS wanted (state)
    CROSS JOIN LATERAL (
        SELECT * FROM rewards.offer
        WHERE offer.brand_id = $1 AND offer.state = wanted.state AND offer.offer_no > $2
        ORDER BY offer.offer_no
        LIMIT $3
    ) AS of_state
    WHERE $5::text IS NULL AND $6::bigint[] IS NULL
    UNION ALL
    SELECT of_group.*
    FROM unnest($4::smallint[]) AS wanted (state)
    CROSS JOIN LATERAL (
        SELECT * FROM rewards.offer
        WHERE offer.brand_id = $1 AND offer.offer_group = $5 AND offer.state = wanted.state AND offer.offer_no > $2
        ORDER BY offer.offer_no
        LIMIT $3
    ) AS of_group
    WHERE $6::bigint[] IS NULL
    UNION ALL
    SELECT offer.*
    FROM rewards.offer
    WHERE offer.customer = ANY ($6) AND offer.brand_id = $1 AND offer.offer_no > $2 AND offer.state = ANY ($4)
        AND ($5 IS NULL OR offer.offer_group = $5)
) AS found
ORDER BY found.offer_no
LIMIT $3
