-- The numbers of the transfers of customers $2 of a book $1, $3 < seq <= $4, in order, $5 at most.

SELECT own.seq
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT transfer.seq
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq > $3 AND transfer.seq <= $4
    ORDER BY transfer.seq
    LIMIT $5
) AS own
ORDER BY own.seq
LIMIT $5
