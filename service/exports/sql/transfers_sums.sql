-- The control totals of the same rows.

SELECT
    count(*) AS rows, coalesce(sum(transfer.amount), 0)::bigint AS debits, coalesce(sum(transfer.amount), 0)::bigint AS credits
FROM ledger.transfer
WHERE transfer.book_id = $1 AND transfer.seq > $2 AND transfer.seq <= $3
