-- What happened to the customers of a book $1 of brand $2 after the seq $3 and the place $4, oldest first, $5 at most. One
-- statement, so one snapshot: all streams are seen up to the same commit.

WITH found AS (
    (
        SELECT transfer.seq, NULL::bigint AS place, transfer.campaign_no, transfer.event_key AS key, false AS is_notice
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.customer IS NOT NULL
        ORDER BY transfer.seq
        LIMIT $5
    )
    UNION ALL
    (
        SELECT event.seq, event.place, event.campaign_no, event.key, false
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place > $4
        ORDER BY event.place
        LIMIT $5
    )
    UNION ALL
    (
        SELECT notice.seq, notice.place, notice.campaign_no, notice.key, true
        FROM ledger.offer_notice AS notice
        WHERE notice.book_id = $1 AND notice.place > $4
        ORDER BY notice.place
        LIMIT $5
    )
)
SELECT
    found.seq, found.place, found.campaign_no, found.key,
    transfer.posted_at, transfer.verb, transfer.amount, transfer.customer AS transfer_customer, transfer.transaction_id,
    transfer.debit, transfer.credit,
    event.outcome, coalesce(event.customer, notice.customer) AS event_customer, coalesce(event.decided_at, notice.noted_at) AS decided_at,
    event.action, coalesce(event.channel, notice.channel) AS channel, coalesce(event.message_id, notice.message_id) AS message_id,
    notice.kind AS notice, notice.offer_group
FROM found
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN LATERAL (
    SELECT
        transfer.posted_at, transfer.verb, transfer.amount, transfer.customer, transfer.debit, transfer.credit,
        coalesce(transfer.transaction_id, transfer.seq) AS transaction_id
    FROM ledger.transfer
    WHERE found.place IS NULL AND transfer.book_id = $1 AND transfer.seq = found.seq
    LIMIT 1
) AS transfer ON true
LEFT JOIN LATERAL (
    SELECT event.outcome, event.customer, event.decided_at, event.action, event.channel, event.message_id
    FROM ledger.event
    WHERE NOT found.is_notice AND event.book_id = $1 AND event.campaign_no = found.campaign_no AND event.key = found.key
    LIMIT 1
) AS event ON true
LEFT JOIN LATERAL (
    SELECT notice.kind, notice.customer, notice.noted_at, notice.channel, notice.message_id, notice.offer_group
    FROM ledger.offer_notice AS notice
    WHERE found.is_notice AND notice.book_id = $1 AND notice.campaign_no = found.campaign_no AND notice.key = found.key
    LIMIT 1
) AS notice ON true
ORDER BY found.seq, found.place NULLS FIRST
LIMIT $5
