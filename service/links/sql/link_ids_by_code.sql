-- The ids of links by the hashes of their codes ($1), each looked up by its key.
SELECT found.code_hash, found.link_id
FROM unnest($1::bytea[]) AS wanted (code_hash)
CROSS JOIN LATERAL (SELECT * FROM rewards.link_code WHERE link_code.code_hash = wanted.code_hash OFFSET 0) AS found
