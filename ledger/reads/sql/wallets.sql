-- The next $4 wallets of a book $1 of brand $2 after the customer $3: the last of them if there may be more, and the customers of those who
-- have points or may get some back from a hold, and lose some by the day $5. NULL is any day.

SELECT
    CASE WHEN count(*) = $4 THEN max(wallet.customer) END AS walked_to,
    coalesce(
        array_agg(wallet.customer ORDER BY wallet.customer) FILTER (WHERE (
            (wallet.points > 0 AND ($5::date IS NULL OR wallet.lot_until <= $5))
            OR wallet.hold_until <= greatest(head.posted_at, clock_timestamp() + head.clock_offset)
        )),
        '{}'
    ) AS customers
FROM (
    SELECT state.customer, state.points, state.lot_until, state.hold_until
    FROM ledger.customer_state AS state
    WHERE state.book_id = $1 AND state.customer > $3
    ORDER BY state.customer
    LIMIT $4
) AS wallet
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
