-- The same of some customers, by the index of customers.
-- $1 book, $2 after seq, $3 through seq, $4 limit, $5 customers. Locks nothing.

SELECT
    move.seq, move.transaction, move.verb, move.debit, move.credit, move.amount, move.campaign_no, move.event_key, move.customer
FROM unnest($5::bigint[]) AS member (customer)
CROSS JOIN LATERAL (
    SELECT
        transfer.seq, coalesce(transfer.transaction_id, transfer.seq) AS transaction, transfer.verb, transfer.debit,
        transfer.credit, transfer.amount, transfer.campaign_no, transfer.event_key, transfer.customer
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.customer = member.customer AND transfer.seq > $2 AND transfer.seq <= $3
        AND ledger.account_kind_v1(transfer.debit) IN (
            ledger.kind_v1('lot'), ledger.kind_v1('held'), ledger.kind_v1('spent'), ledger.kind_v1('transit')
        )
    ORDER BY transfer.seq
    LIMIT $4
) AS move
ORDER BY move.seq
LIMIT $4
