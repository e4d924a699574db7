-- Codes that the customers $2 of brand $1 claimed, after code $3, at most $4: what is stored of a code is a hash.

SELECT claimed.code_hash, jsonb_build_object(
    'batch', batch.id, 'serial', claimed.serial, 'action', batch.action, 'channel', batch.channel, 'claimed_at', claimed.claimed_at
)::text
FROM rewards.batch_code AS claimed
JOIN rewards.code_batch AS batch ON batch.batch_no = claimed.batch_no AND batch.brand_id = $1
WHERE claimed.customer = ANY ($2::bigint[]) AND claimed.code_hash > $3::bytea
ORDER BY claimed.code_hash
LIMIT $4
