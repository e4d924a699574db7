-- What moved points of the customers $2 in the book $1, after seq $3, at most $4: with what was reported of grants. $5: the verbs'
-- names; $6: the campaigns' names by number as JSON.

SELECT moved.seq, jsonb_build_object(
    'seq', moved.seq, 'type', ($5::text[])[ledger.transfer_verb_v1(moved.verb, moved.due_on)], 'points', moved.amount,
    'at', moved.posted_at, 'occurred_at', moved.occurred_at,
    'from', ledger.account_name_v1(moved.debit, $6::text::jsonb), 'to', ledger.account_name_v1(moved.credit, $6::text::jsonb),
    'grant_id', 'grt_' || lpad(to_hex(moved.campaign_no), 8, '0') || encode(moved.event_key, 'hex'),
    'campaign', coalesce($6::text::jsonb ->> moved.campaign_no::text, moved.campaign_no::text),
    'action', told.action, 'channel', told.channel, 'message_id', told.message_id, 'label', told.qualifier,
    'evidence', told.grade, 'source', told.source, 'metadata', told.metadata::jsonb
)::text
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT transfer.* FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq > $3::bigint
    ORDER BY transfer.seq
    LIMIT $4
) AS moved
LEFT JOIN LATERAL (
    SELECT event.action, event.channel, event.message_id, event.qualifier, event.grade::text AS grade, event.source, event.metadata
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = moved.campaign_no AND event.key = moved.event_key
    LIMIT 1
) AS told ON true
ORDER BY moved.seq
LIMIT $4
