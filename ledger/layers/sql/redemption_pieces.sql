-- What redemptions hold and have spent: how many points of each layer moved between which accounts.
-- $1 book, $2 redemptions. Locks nothing. While the table is young any of its indexes looks as good as another; only the one by
-- redemption gives that order without a sort.

SELECT transfer.debit, transfer.credit, part.layer, sum(part.amount)::bigint AS amount
FROM unnest($2::bigint[]) AS wanted (redemption)
CROSS JOIN LATERAL (
    SELECT part.seq, part.layer, part.amount
    FROM ledger.transfer_layer AS part
    WHERE part.book_id = $1 AND part.redemption BETWEEN wanted.redemption AND wanted.redemption
    ORDER BY part.redemption
    OFFSET 0
) AS part
CROSS JOIN LATERAL (
    SELECT transfer.debit, transfer.credit FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq = part.seq OFFSET 0
) AS transfer
GROUP BY transfer.debit, transfer.credit, part.layer
