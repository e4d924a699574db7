-- The next $3 wallets of a book $1 after the customer $2: the last of them, and those with a lot that died by the day $4.

SELECT
    max(wallet.customer) AS walked_to,
    coalesce(
        array_agg(wallet.customer ORDER BY wallet.customer) FILTER (WHERE wallet.lot_until <= $4), '{}'
    ) AS customers
FROM (
    SELECT state.customer, state.lot_until
    FROM ledger.customer_state AS state
    WHERE state.book_id = $1 AND state.customer > $2
    ORDER BY state.customer
    LIMIT $3
) AS wallet
