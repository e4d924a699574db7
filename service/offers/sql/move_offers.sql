-- Moves open offers $2 of brand $1 to customers $3 to the furthest that any of their messages has come that may still arrive.
UPDATE rewards.offer
SET state = come.state
FROM (
    SELECT wanted.offer_group, wanted.customer, max(
        CASE
            WHEN made.failed_at IS NOT NULL THEN 1
            WHEN made.clicked_at IS NOT NULL THEN 4
            WHEN made.opened_at IS NOT NULL THEN 3
            WHEN made.delivered_at IS NOT NULL THEN 2
            ELSE 1
        END
    )::smallint AS state
    FROM unnest($2::text[], $3::bigint[]) AS wanted (offer_group, customer)
    JOIN rewards.offer_message AS made
        ON made.brand_id = $1 AND made.offer_group = wanted.offer_group AND made.customer = wanted.customer
    GROUP BY wanted.offer_group, wanted.customer
) AS come
WHERE offer.brand_id = $1 AND offer.offer_group = come.offer_group AND offer.customer = come.customer
    AND offer.state < 5 AND offer.state <> come.state
