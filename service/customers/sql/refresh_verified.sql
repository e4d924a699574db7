-- Says of each of the customers $1 whether an identity of theirs, or of those merged into them, is verified.

UPDATE rewards.customer SET verified = EXISTS (
    SELECT FROM rewards.identity WHERE identity.customer = customer.customer AND identity.verified_by IS NOT NULL
) OR EXISTS (
    SELECT
    FROM rewards.customer AS member
    CROSS JOIN LATERAL (
        SELECT FROM rewards.identity WHERE identity.customer = member.customer AND identity.verified_by IS NOT NULL LIMIT 1
    ) AS proved
    WHERE member.merged_into = customer.customer
)
WHERE customer.customer = ANY($1::bigint[])
