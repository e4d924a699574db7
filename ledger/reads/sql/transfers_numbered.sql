-- Of the log of a book $1 of brand $2 the transfers with the numbers $3, in order.

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
WHERE transfer.book_id = $1 AND transfer.seq = ANY($3::bigint[])
ORDER BY transfer.seq
