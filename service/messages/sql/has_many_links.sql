-- Whether any of the customers $1 has $2 links or more.
SELECT coalesce(bool_or(counted.links >= $2), false)
FROM unnest($1::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT count(*) AS links FROM (SELECT FROM rewards.link WHERE link.customer = wanted.customer LIMIT $2) AS first
) AS counted
