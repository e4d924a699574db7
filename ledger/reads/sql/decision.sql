-- The decision that counts among a book's ($1, of brand $2) events of campaign $3 under keys $4: paid before refused before
-- waiting.

SELECT event.outcome, event.points, event.seq, event.key, coalesce(state.moved_to, event.customer) AS customer
FROM ledger.event
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN LATERAL (
    SELECT state.moved_to FROM ledger.customer_state AS state WHERE state.book_id = $1 AND state.customer = event.customer LIMIT 1
) AS state ON true
WHERE event.book_id = $1 AND event.campaign_no = $3 AND event.key = ANY($4::bytea[])
ORDER BY
    CASE WHEN event.outcome IN (1, 6) THEN 0 WHEN event.outcome <> 4 THEN 1 ELSE 2 END,  -- GRANTED, HELD_BACK; WAITING
    event.seq, event.place NULLS FIRST
LIMIT 1
