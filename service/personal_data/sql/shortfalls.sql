-- Points that the customers $2 in the book $1 will lose as soon as they return to them, after layer $3, at most $4.

SELECT owed.layer, jsonb_build_object(
    'grant_id', 'grt_' || lpad(to_hex(owed.campaign_no), 8, '0') || encode(owed.event_key, 'hex'), 'points', owed.points
)::text
FROM ledger.shortfall AS owed
WHERE owed.book_id = $1 AND owed.customer = ANY ($2::bigint[]) AND owed.layer > $3::bigint
ORDER BY owed.layer
LIMIT $4
