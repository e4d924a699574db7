-- Attaches identities of brand $1 to customers: stored forms $2, their kinds $3, key numbers $4, forms $5, customers $6. One
-- that somebody has is left alone. Returns those that were attached.

INSERT INTO rewards.identity (mac, brand_id, kind, key_no, form, customer)
SELECT wanted.mac, $1, wanted.kind, wanted.key_no, wanted.form, wanted.customer
FROM unnest($2::bytea[], $3::smallint[], $4::smallint[], $5::smallint[], $6::bigint[])
    AS wanted (mac, kind, key_no, form, customer)
ON CONFLICT (mac) DO NOTHING
RETURNING identity.mac
