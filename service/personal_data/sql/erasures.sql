-- Erasures of the customers $2 of brand $1 that were asked for, after number $3, at most $4.

SELECT erasure.erasure_no, jsonb_build_object(
    'asked_at', erasure.asked_at, 'by_customer', erasure.by_customer, 'state', erasure.state, 'erases_at', erasure.erases_at
)::text
FROM rewards.erasure
WHERE erasure.brand_id = $1 AND erasure.customer = ANY ($2::bigint[]) AND erasure.erasure_no > $3::bigint
ORDER BY erasure.erasure_no
LIMIT $4
