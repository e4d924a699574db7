-- Names of the customers $2 of brand $1, after number $3, at most $4: what they are stored as cannot be read.

SELECT identity.identity_no, jsonb_build_object(
    'identity_id', 'idn_' || lpad(to_hex($1::integer), 8, '0') || lpad(to_hex(identity.identity_no), 16, '0'),
    'kind', (ARRAY['id', 'email', 'phone', 'device'])[identity.kind],
    'stored_at', identity.created_at,
    'verified', identity.verified_by IS NOT NULL
)::text
FROM rewards.identity
WHERE identity.brand_id = $1 AND identity.customer = ANY ($2::bigint[]) AND identity.identity_no > $3::bigint
ORDER BY identity.identity_no
LIMIT $4
