-- Customers of the brand $1 by number after $2, the first $3 of all brands: whether each is the brand's and merged into nobody, and who is
-- merged into them.

SELECT
    looked_at.customer, looked_at.brand_id = $1 AND looked_at.merged_into IS NULL AS is_wanted,
    CASE WHEN looked_at.absorbed = 0 THEN '{}'::bigint[] ELSE ARRAY(
        SELECT part.customer FROM rewards.customer AS part WHERE part.merged_into = looked_at.customer ORDER BY part.customer
    ) END AS merged
FROM (
    SELECT customer.customer, customer.brand_id, customer.merged_into, customer.absorbed
    FROM rewards.customer
    WHERE customer.customer > $2
    ORDER BY customer.customer
    LIMIT $3
) AS looked_at
ORDER BY looked_at.customer
