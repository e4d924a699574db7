-- What the audit trail of brand $1 has about the customers $2, after entry $3, at most $4: looks of persons, merges, erasures.

SELECT recorded.entry_no, jsonb_build_object('act', recorded.act, 'at', recorded.happened_at)::text
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT entry.entry_no, entry.act, entry.happened_at
    FROM rewards.audit_trail AS entry
    WHERE entry.brand_id = $1 AND entry.subject = 'cus_' || wanted.customer AND entry.entry_no > $3::bigint
    ORDER BY entry.entry_no
    LIMIT $4
) AS recorded
ORDER BY recorded.entry_no
LIMIT $4
