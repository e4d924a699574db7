-- Whom identities $1, as they are stored, name. Nearly nobody was ever merged or split: their generation is 0, and this is all
-- there is to know. Whom the others stand for now is said by who_by_mac. Unknown identities are left out.
--
-- who_by_mac costs two to three times as much, also where its further look-ups are not needed. OFFSET 0: see there.

SELECT
    identity.mac, numbered.customer, numbered.confirmed, numbered.refused::text AS refused, numbered.verified,
    numbered.generation
FROM rewards.identity
CROSS JOIN LATERAL (
    SELECT customer.customer, customer.confirmed, customer.refused, customer.verified, customer.generation
    FROM rewards.customer WHERE customer.customer = identity.customer
    OFFSET 0
) AS numbered
WHERE identity.mac = ANY($1::bytea[])
