-- What a key ($2) of a brand ($1) and the keys that come from it have made, in the order of kind and number, after the entry
-- ($3, $4); at most $5. A brand has some keys and batches, so they are sorted each time.
WITH RECURSIVE family AS (
    SELECT api_key.api_key_id, api_key.name, api_key.created_at, api_key.revoked_at, api_key.made_by,
        'links:write' = ANY (api_key.scopes) AS mints
    FROM rewards.api_key
    WHERE api_key.brand_id = $1 AND api_key.api_key_id = $2
    UNION ALL
    SELECT api_key.api_key_id, api_key.name, api_key.created_at, api_key.revoked_at, api_key.made_by,
        'links:write' = ANY (api_key.scopes) AS mints
    FROM family
    JOIN rewards.api_key ON api_key.brand_id = $1 AND api_key.made_by = family.api_key_id
), made AS (
    SELECT 0 AS kind, family.api_key_id AS number, 'key_' || family.api_key_id AS id, family.name, family.made_by,
        family.created_at AS made_at, family.revoked_at
    FROM family
    WHERE family.api_key_id <> $2
    UNION ALL
    SELECT 1, minting_key.key_no, 'mk_' || minting_key.key_no, minting_key.name, minting_key.registered_by,
        minting_key.registered_at, minting_key.revoked_at
    FROM rewards.minting_key
    JOIN family ON family.api_key_id = minting_key.registered_by
    WHERE minting_key.brand_id = $1
    UNION ALL
    SELECT 2, code_batch.batch_no, code_batch.id, code_batch.id, code_batch.made_by, code_batch.made_at, (
        SELECT min(link_revocation.revoked_at) FROM rewards.link_revocation
        WHERE link_revocation.brand_id = $1
            AND link_revocation.subject IN ('code_batch ' || code_batch.batch_no, 'key ' || code_batch.made_by)
    )
    FROM rewards.code_batch
    JOIN family ON family.api_key_id = code_batch.made_by
    WHERE code_batch.brand_id = $1
    UNION ALL
    SELECT 3, family.api_key_id, 'key_' || family.api_key_id, family.name, family.api_key_id, family.created_at,
        link_revocation.revoked_at
    FROM family
    LEFT JOIN rewards.link_revocation
        ON link_revocation.brand_id = $1 AND link_revocation.subject = 'key ' || family.api_key_id
    WHERE family.mints
    UNION ALL
    SELECT 4, source.source_no, 'src_' || source.source_no, source.name, source.api_key_id, source.created_at,
        coalesce(source.disabled_at, family.revoked_at)
    FROM rewards.source
    JOIN family ON family.api_key_id = source.api_key_id
    WHERE source.brand_id = $1
)
SELECT made.* FROM made WHERE (made.kind, made.number) > ($3::integer, $4::bigint) ORDER BY made.kind, made.number LIMIT $5
