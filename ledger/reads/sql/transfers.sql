-- The log of a book $1 of brand $2, $3 < seq <= $4, in order, $5 at most.

SELECT
    transfer.seq, transfer.posted_at, transfer.occurred_at, transfer.verb, transfer.debit, transfer.credit, transfer.amount,
    transfer.customer, transfer.campaign_no, transfer.event_key,
    coalesce(transfer.transaction_id, transfer.seq) AS transaction_id, transfer.due_at
FROM ledger.transfer
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
ORDER BY transfer.seq
LIMIT $5
