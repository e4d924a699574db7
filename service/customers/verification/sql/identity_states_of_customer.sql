-- How the identities of the customer numbers $1 stand, by their own numbers, after $2, $3 at most.

SELECT
    named.identity_no, named.mac, named.kind, named.customer, named.created_at AS since, named.verified_by,
    first.happened_at AS verified_at, first.method, first.proof
FROM (
    SELECT *
    FROM rewards.identity
    WHERE identity.customer = ANY($1::bigint[]) AND identity.identity_no > $2
    ORDER BY identity.identity_no
    LIMIT $3
) AS named
LEFT JOIN LATERAL (
    SELECT verification.happened_at, verification.method, verification.proof
    FROM rewards.verification
    WHERE verification.verification_no = named.verified_by
    OFFSET 0
) AS first ON true
ORDER BY named.identity_no
