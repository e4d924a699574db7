-- The customers of the book $1 whom its log names, $2 < seq <= $3.

SELECT DISTINCT transfer.customer
FROM ledger.transfer
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
    AND transfer.customer IS NOT NULL
