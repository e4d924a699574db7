-- Codes of batches by their hashes ($1), with their batch, where it leads, and what is revoked of it. OFFSET 0: each row is looked
-- up by its key.
SELECT
    found.code_hash, batch.brand_id, batch.id, found.serial, found.customer, batch.campaign_no, batch.campaign_version,
    batch.action, batch.channel, batch.destination_no, leads_to.url, batch.made_at, batch.expires_at, revocation.revoked_at,
    batch.pays = 'each', batch.rotates_every_s, batch.kid
FROM unnest($1::bytea[]) AS wanted (code_hash)
CROSS JOIN LATERAL (SELECT * FROM rewards.batch_code WHERE batch_code.code_hash = wanted.code_hash OFFSET 0) AS found
CROSS JOIN LATERAL (SELECT * FROM rewards.code_batch WHERE code_batch.batch_no = found.batch_no OFFSET 0) AS batch
LEFT JOIN LATERAL (
    SELECT destination.url FROM rewards.destination WHERE destination.destination_no = batch.destination_no OFFSET 0
) AS leads_to ON true
LEFT JOIN LATERAL (
    SELECT min(link_revocation.revoked_at) AS revoked_at
    FROM rewards.link_revocation
    WHERE link_revocation.brand_id = batch.brand_id AND link_revocation.subject = ANY (ARRAY[
        'code_batch ' || batch.batch_no, 'campaign ' || batch.campaign_no, 'key ' || batch.made_by,
        'message code:' || batch.id || ':' || found.serial
    ])
) AS revocation ON true
