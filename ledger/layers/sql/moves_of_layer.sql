-- Between which accounts a layer's points moved, how many, and since when.
-- $1 book, $2 layer. Locks nothing. The order is for the index by layer, as in redemption_pieces.sql.

SELECT transfer.debit, transfer.credit, sum(part.amount)::bigint AS amount, min(part.seq) AS seq
FROM (
    SELECT part.seq, part.amount
    FROM ledger.transfer_layer AS part
    WHERE part.book_id = $1 AND part.layer BETWEEN $2 AND $2
    ORDER BY part.layer
    OFFSET 0
) AS part
CROSS JOIN LATERAL (
    SELECT transfer.debit, transfer.credit FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq = part.seq OFFSET 0
) AS transfer
GROUP BY transfer.debit, transfer.credit
