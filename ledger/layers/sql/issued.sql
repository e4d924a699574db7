-- What was brought into lots from outside the customers' accounts, after a place for each lot: the first of it, by lot and seq.
-- $1 book, $2 through seq, $3 limit for each lot; $4 customers, $5 their lots and $6 the places, side by side. Locks nothing.

SELECT wanted.lot, issue.seq, issue.amount
FROM unnest($4::bigint[], $5::bytea[], $6::bigint[]) AS wanted (customer, lot, after)
CROSS JOIN LATERAL (
    SELECT transfer.seq, transfer.amount
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq > wanted.after AND transfer.seq <= $2
        AND transfer.credit = wanted.lot
        AND ledger.account_kind_v1(transfer.debit) NOT IN (
            ledger.kind_v1('lot'), ledger.kind_v1('held'), ledger.kind_v1('spent'), ledger.kind_v1('transit')
        )
    ORDER BY transfer.seq
    LIMIT $3
) AS issue
ORDER BY wanted.lot, issue.seq
