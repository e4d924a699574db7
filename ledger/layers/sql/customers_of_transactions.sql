-- Whose transfers belong to transactions, which are merges and splits: those of two customers each.
-- $1 book, $2 transactions, $3 the most transfers that one of them has. Locks nothing.

SELECT DISTINCT leg.customer
FROM unnest($2::bigint[]) AS wanted (transaction)
CROSS JOIN LATERAL (
    SELECT transfer.customer
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.seq >= wanted.transaction AND transfer.seq < wanted.transaction + $3
        AND coalesce(transfer.transaction_id, transfer.seq) = wanted.transaction
    OFFSET 0
) AS leg
