-- How often the customers $2 of brand $1 want to hear of it, after customer $3, at most $4.

SELECT preference.customer, jsonb_build_object('frequency', preference.frequency, 'answered_at', preference.answered_at)::text
FROM rewards.preference
WHERE preference.brand_id = $1 AND preference.customer = ANY ($2::bigint[]) AND preference.customer > $3::bigint
ORDER BY preference.customer
LIMIT $4
