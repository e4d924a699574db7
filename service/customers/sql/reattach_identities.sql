-- Stores identities of brand $1 under new forms $2, with all that was known of each: kinds $3, key numbers $4, forms $5,
-- customers $6, numbers $7, first proofs $8, times $9. One that is there already is verified if this one is.

INSERT INTO rewards.identity (mac, brand_id, kind, key_no, form, customer, identity_no, verified_by, created_at)
OVERRIDING SYSTEM VALUE
SELECT wanted.mac, $1, wanted.kind, wanted.key_no, wanted.form, wanted.customer, wanted.number, wanted.verified_by, wanted.since
FROM unnest(
    $2::bytea[], $3::smallint[], $4::smallint[], $5::smallint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::timestamptz[]
) AS wanted (mac, kind, key_no, form, customer, number, verified_by, since)
ON CONFLICT (mac) DO UPDATE SET verified_by = excluded.verified_by WHERE identity.verified_by IS NULL
