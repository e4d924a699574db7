-- The log of a book $1 of brand $2, $3 < seq <= $4, in order, $5 at most.

SELECT
    transfer.seq, transfer.posted_at, transfer.occurred_at, ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
    transfer.debit, transfer.credit, transfer.amount,
    transfer.customer, transfer.campaign_no, transfer.event_key,
    coalesce(transfer.transaction_id, transfer.seq) AS transaction_id, transfer.due_at,
    ledger.accounting_date_v1(
        transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
    ) AS accounting_date
FROM ledger.transfer
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
ORDER BY transfer.seq
LIMIT $5
