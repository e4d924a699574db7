-- As far as the layers have been read, what each lot has by the log is what is left of its layers: of those that have been entered
-- what is kept, and of those that came in later all.

SELECT count(*), count(*) FILTER (WHERE summed.points <> 0), array_agg(encode(summed.lot, 'hex')) FILTER (WHERE summed.points <> 0)
FROM (
    SELECT side.lot, sum(side.points) AS points
    FROM (
        SELECT transfer.debit AS lot, -transfer.amount AS points
        FROM ledger.transfer
        JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
        WHERE transfer.book_id = $1 AND transfer.seq <= reader.seq AND get_byte(transfer.debit, 11) >> 4 = 1
        UNION ALL
        -- Of what comes from outside, only what has been entered is compared with what is kept.
        SELECT transfer.credit, transfer.amount
        FROM ledger.transfer
        JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
        LEFT JOIN ledger.lot_layers AS kept ON kept.book_id = $1 AND kept.lot = transfer.credit
        WHERE transfer.book_id = $1 AND transfer.seq <= reader.seq AND get_byte(transfer.credit, 11) >> 4 = 1
            AND (transfer.seq <= kept.entered OR get_byte(transfer.debit, 11) >> 4 IN (1, 3, 4, 12))
        UNION ALL
        SELECT kept.lot, -layer.amount
        FROM ledger.lot_layers AS kept
        JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
        CROSS JOIN LATERAL unnest(kept.amounts) AS layer (amount)
        WHERE kept.book_id = $1
    ) AS side
    GROUP BY side.lot
) AS summed
