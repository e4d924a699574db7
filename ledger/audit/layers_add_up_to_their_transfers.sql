-- As far as the layers have been read, the parts of a transfer out of a lot, a hold, a spent account or transit add up to its amount,
-- but for held-back points that a merge moves; and no other transfer has parts.

SELECT count(*), count(*) FILTER (WHERE compared.wrong), array_agg('seq ' || compared.seq) FILTER (WHERE compared.wrong)
FROM (
    SELECT coalesce(moved.seq, parts.seq) AS seq, moved.amount IS DISTINCT FROM parts.amount OR parts.unknown AS wrong
    FROM (
        SELECT transfer.seq, transfer.amount
        FROM ledger.transfer
        JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
        WHERE transfer.book_id = $1 AND transfer.seq <= reader.seq
            AND get_byte(transfer.debit, 11) >> 4 IN (1, 3, 4, 12) AND get_byte(transfer.credit, 11) >> 4 <> 2
    ) AS moved
    FULL JOIN (
        SELECT part.seq, sum(part.amount) AS amount, bool_or(part.layer = 0) AS unknown
        FROM ledger.transfer_layer AS part
        JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
        WHERE part.book_id = $1
        GROUP BY part.seq
    ) AS parts ON parts.seq = moved.seq
) AS compared
