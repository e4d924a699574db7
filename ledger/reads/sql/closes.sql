-- The closed periods of a book $1 of brand $2 that end on the day $3 or before, newest first, each in its last version, $4 at most;
-- if $5 only those that are not settled.

SELECT close.*
FROM (
    SELECT DISTINCT ON (close.ends_on)
        close.begins_on, close.ends_on, close.version, close.state, close.ends_at, close.closed_at, close.seq, close.posted_at,
        close.settled_seq, close.stored_through, close.lines, close.debits, close.credits, close.accounts, close.customers,
        close.lines_digest, close.balances_digest
    FROM ledger.close
    JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
    WHERE close.book_id = $1 AND close.ends_on <= $3
    ORDER BY close.ends_on DESC, close.version DESC
) AS close
WHERE NOT $5 OR close.state < 3  -- SETTLED
ORDER BY close.ends_on DESC
LIMIT $4
