-- The decision that counts among a book's ($1, of brand $2) events of campaign $3 under keys $4: paid before refused before
-- waiting.

SELECT
    standing.outcome, CASE WHEN standing.outcome = event.outcome THEN event.points ELSE 0 END AS points, event.seq, event.key,
    coalesce(state.moved_to, event.customer) AS customer
FROM ledger.event
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN LATERAL (
    SELECT state.moved_to FROM ledger.customer_state AS state WHERE state.book_id = $1 AND state.customer = event.customer LIMIT 1
) AS state ON true
CROSS JOIN LATERAL (
    SELECT ledger.outcome_at_v1(
        event.outcome, event.due_at, greatest(head.posted_at, clock_timestamp() + head.clock_offset)
    ) AS outcome
    OFFSET 0
) AS standing
WHERE event.book_id = $1 AND event.campaign_no = $3 AND event.key = ANY($4::bytea[])
ORDER BY
    CASE WHEN standing.outcome IN (1, 6) THEN 0 WHEN standing.outcome <> 4 THEN 1 ELSE 2 END,  -- GRANTED, HELD_BACK; WAITING
    event.seq, event.place NULLS FIRST
LIMIT 1
