-- A book's ($1, of brand $2) seq and time, and there what campaign $4 with the budget account $3 was funded with and has
-- granted, less what was taken back, and how much that is: what was asked for, but for what is still to be taken. And how much of it
-- was given by adjustments. By the book's clock: a refusal moves no head, so the head's own time may lie before decisions that are there
-- already.

SELECT
    head.seq, greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at,
    funding.points AS funded, coalesce(account.debits - (account.credits - funding.points), 0) AS granted,
    CASE WHEN account.id IS NULL THEN 0 ELSE (
        SELECT coalesce(sum(correction.asked), 0)
        FROM ledger.correction
        WHERE correction.book_id = $1 AND correction.campaign_no = $4 AND correction.event_key IS NOT NULL
            AND correction.verb = 11  -- CLAWBACK
    ) - (
        SELECT coalesce(sum(shortfall.points), 0)
        FROM ledger.shortfall
        WHERE shortfall.book_id = $1 AND shortfall.campaign_no = $4
    ) END::bigint AS clawed_back, (
        SELECT coalesce(sum(correction.moved), 0)
        FROM ledger.correction
        WHERE correction.book_id = $1 AND correction.campaign_no = $4 AND correction.event_key IS NULL AND correction.is_credit
    )::bigint AS adjusted
FROM ledger.head
LEFT JOIN ledger.account ON account.book_id = $1 AND account.id = $3
CROSS JOIN LATERAL (
    SELECT coalesce(sum(transfer.amount), 0)::bigint AS points
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.verb = 1 AND transfer.campaign_no = $4  -- FUND
) AS funding
WHERE head.book_id = $1 AND head.brand_id = $2
