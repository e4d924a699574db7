-- The same as find_redemptions, with the status that each has now, which is derived and has no index.

SELECT
    found.id, found.customer, found.order_ref, found.store_id, found.terminal_id,
    ledger.redemption_status_v1(found.closed_at, found.deadline, clock.at, sums.captured, sums.refunded) AS status
FROM ledger.head
CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS clock
CROSS JOIN LATERAL (
    SELECT
        redemption.id, redemption.customer, redemption.order_ref, redemption.store_id, redemption.terminal_id,
        redemption.closed_at, redemption.deadline
    FROM ledger.redemption
    WHERE redemption.book_id = $1
        AND ($3::bigint IS NULL OR redemption.customer = $3)
        AND ($4::text IS NULL OR redemption.order_ref = $4)
        AND ($5::text IS NULL OR redemption.store_id = $5)
        AND redemption.id > $6 AND redemption.id < $7
    ORDER BY redemption.id DESC
    LIMIT $8
) AS found
CROSS JOIN LATERAL (
    SELECT coalesce(sum(account.credits), 0)::bigint AS captured, coalesce(sum(account.debits), 0)::bigint AS refunded
    FROM ledger.account
    WHERE account.book_id = $1
        AND account.id >= ledger.account_owner_v1(3, found.id) || '\x40'::bytea  -- SPENT
        AND account.id < ledger.account_owner_v1(3, found.id) || '\x50'::bytea
    OFFSET 0
) AS sums
WHERE head.book_id = $1 AND head.brand_id = $2
ORDER BY found.id DESC
