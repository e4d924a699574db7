-- Reports of acts of the customers $2 in the book $1 that moved no points, after place $3, at most $4. $5: the outcomes' names by
-- number as JSON; $6: the campaigns' names.

SELECT told.place, jsonb_build_object(
    'outcome', $5::text::jsonb ->> told.outcome::text, 'at', told.decided_at, 'counts_at', told.window_at,
    'grant_id', 'grt_' || lpad(to_hex(told.campaign_no), 8, '0') || encode(told.key, 'hex'),
    'campaign', coalesce($6::text::jsonb ->> told.campaign_no::text, told.campaign_no::text),
    'action', told.action, 'channel', told.channel, 'message_id', told.message_id, 'label', told.qualifier,
    'evidence', told.grade, 'source', told.source, 'metadata', told.metadata::jsonb
)::text
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT event.* FROM ledger.event
    WHERE event.book_id = $1 AND event.customer = wanted.customer AND event.place > $3::bigint
    ORDER BY event.place
    LIMIT $4
) AS told
ORDER BY told.place
LIMIT $4
