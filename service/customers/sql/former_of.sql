-- The customers who were merged into any of $1.

SELECT merged.customer
FROM unnest($1::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT customer.customer FROM rewards.customer WHERE customer.merged_into = wanted.customer OFFSET 0
) AS merged
