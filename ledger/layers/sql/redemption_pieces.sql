-- What redemptions hold and have spent: how many points of each layer moved between which accounts.
-- $1 book, $2 redemptions, $3 through seq. Locks nothing.

SELECT transfer.debit, transfer.credit, part.layer, sum(part.amount)::bigint AS amount
FROM ledger.transfer_layer AS part
JOIN ledger.transfer ON transfer.book_id = $1 AND transfer.seq = part.seq
WHERE part.book_id = $1 AND part.redemption = ANY ($2) AND part.seq <= $3
GROUP BY transfer.debit, transfer.credit, part.layer
