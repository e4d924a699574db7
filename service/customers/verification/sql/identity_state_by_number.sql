-- How the identity $1 of brand $2 stands, with the first proof since the last withdrawal.

SELECT
    named.identity_no, named.mac, named.kind, named.customer, named.created_at AS since, named.verified_by,
    first.happened_at AS verified_at, first.method, first.proof
FROM rewards.identity AS named
LEFT JOIN LATERAL (
    SELECT verification.happened_at, verification.method, verification.proof
    FROM rewards.verification
    WHERE verification.verification_no = named.verified_by
    OFFSET 0
) AS first ON true
WHERE named.identity_no = $1 AND named.brand_id = $2
