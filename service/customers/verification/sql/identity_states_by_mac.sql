-- How the identities $1, as they are stored, stand, each with the first proof since the last withdrawal.
--
-- Whatever the planner knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.

SELECT
    named.identity_no, named.mac, named.kind, named.customer, named.created_at AS since, named.verified_by,
    first.happened_at AS verified_at, first.method, first.proof
FROM unnest($1::bytea[]) AS wanted (mac)
CROSS JOIN LATERAL (SELECT * FROM rewards.identity WHERE identity.mac = wanted.mac OFFSET 0) AS named
LEFT JOIN LATERAL (
    SELECT verification.happened_at, verification.method, verification.proof
    FROM rewards.verification
    WHERE verification.verification_no = named.verified_by
    OFFSET 0
) AS first ON true
