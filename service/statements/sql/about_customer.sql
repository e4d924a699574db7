-- The newest $3 entries of the audit trail of brand $1 about any of the subjects $2, newest first.

SELECT newest.entry_no, newest.happened_at, newest.act, newest.after ->> 'call' AS call, newest.api_key_id, api_key.person_id
FROM unnest($2::text[]) AS wanted (subject)
CROSS JOIN LATERAL (
    SELECT entry.entry_no, entry.happened_at, entry.act, entry.after, entry.api_key_id
    FROM rewards.audit_trail AS entry
    WHERE entry.brand_id = $1 AND entry.subject = wanted.subject
    ORDER BY entry.entry_no DESC
    LIMIT $3
) AS newest
LEFT JOIN rewards.api_key ON api_key.api_key_id = newest.api_key_id
ORDER BY newest.entry_no DESC
LIMIT $3
