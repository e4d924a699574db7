-- The transfers after a place in the log that take points of layers from an account: the first of them, by seq.
-- $1 book, $2 after seq, $3 through seq, $4 limit. Locks nothing.

SELECT
    transfer.seq, coalesce(transfer.transaction_id, transfer.seq) AS transaction, transfer.verb, transfer.debit, transfer.credit,
    transfer.amount, transfer.campaign_no, transfer.event_key, transfer.customer
FROM ledger.transfer
WHERE transfer.book_id = $1 AND transfer.seq > $2 AND transfer.seq <= $3
    AND ledger.account_kind_v1(transfer.debit) IN (
        ledger.kind_v1('lot'), ledger.kind_v1('held'), ledger.kind_v1('spent'), ledger.kind_v1('transit')
    )
ORDER BY transfer.seq
LIMIT $4
