-- Proofs of names of the customers $2 of brand $1, and their withdrawals, after number $3, at most $4.

SELECT proved.verification_no, jsonb_build_object(
    'identity_id', 'idn_' || lpad(to_hex($1::integer), 8, '0') || lpad(to_hex(proved.identity_no), 16, '0'),
    'method', proved.method, 'proof', proved.proof, 'reason', proved.reason, 'at', proved.happened_at
)::text
FROM rewards.identity
CROSS JOIN LATERAL (
    SELECT verification.* FROM rewards.verification
    WHERE verification.identity_no = identity.identity_no AND verification.verification_no > $3::bigint
    ORDER BY verification.verification_no
    LIMIT $4
) AS proved
WHERE identity.brand_id = $1 AND identity.customer = ANY ($2::bigint[])
ORDER BY proved.verification_no
LIMIT $4
