-- Between which accounts a layer's points moved, how many, and since when.
-- $1 book, $2 layer, $3 through seq. Locks nothing.

SELECT transfer.debit, transfer.credit, sum(part.amount)::bigint AS amount, min(part.seq) AS seq
FROM ledger.transfer_layer AS part
JOIN ledger.transfer ON transfer.book_id = $1 AND transfer.seq = part.seq
WHERE part.book_id = $1 AND part.layer = $2 AND part.seq <= $3
GROUP BY transfer.debit, transfer.credit
