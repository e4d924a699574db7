-- What the customers $2 of brand $1 said of channels, after number $3, at most $4.

SELECT consent.consent_no, jsonb_build_object(
    'channel', consent.channel, 'status', CASE WHEN consent.refused THEN 'refused' ELSE 'granted' END, 'at', consent.at,
    'source', consent.source, 'reason', consent.reason, 'recorded_at', consent.recorded_at
)::text
FROM rewards.consent
WHERE consent.brand_id = $1 AND consent.customer = ANY ($2::bigint[]) AND consent.consent_no > $3::bigint
ORDER BY consent.consent_no
LIMIT $4
