-- What became of offers to the customers $2 in the book $1, after place $3, at most $4. $5: the campaigns' names.

SELECT told.place, jsonb_build_object(
    'what', CASE told.kind WHEN ledger.offer_notice_v1('lapsed') THEN 'lapsed' ELSE 'fell_back' END, 'at', told.noted_at,
    'campaign', coalesce($5::text::jsonb ->> told.campaign_no::text, told.campaign_no::text),
    'offer_group', told.offer_group, 'channel', told.channel, 'message_id', told.message_id
)::text
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT notice.* FROM ledger.offer_notice AS notice
    WHERE notice.book_id = $1 AND notice.customer = wanted.customer AND notice.place > $3::bigint
    ORDER BY notice.place
    LIMIT $4
) AS told
ORDER BY told.place
LIMIT $4
