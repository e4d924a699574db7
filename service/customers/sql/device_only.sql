-- Which of the customers $1 are known by devices alone, under all their numbers.

SELECT stored.customer
FROM unnest($1::bigint[]) AS wanted (number)
CROSS JOIN LATERAL (SELECT * FROM rewards.customer WHERE customer.customer = wanted.number OFFSET 0) AS stored
WHERE NOT stored.confirmed AND stored.merged_into IS NULL AND NOT EXISTS (
    SELECT
    FROM (
        SELECT stored.customer
        UNION ALL SELECT member.customer FROM rewards.customer AS member WHERE member.merged_into = stored.customer
    ) AS number
    CROSS JOIN LATERAL (
        SELECT FROM rewards.identity
        WHERE identity.customer = number.customer AND identity.kind <> 4  -- DEVICE
        LIMIT 1
    ) AS named
)
