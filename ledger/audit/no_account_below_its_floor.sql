-- By the log, no lot, pending, held, spent or budget account has a negative balance.

SELECT count(*), count(*) FILTER (WHERE log.balance < 0),
    array_agg(encode(log.id, 'hex')) FILTER (WHERE log.balance < 0)
FROM (
    SELECT side.id, sum(side.points) AS balance
    FROM (
        SELECT transfer.debit AS id, -transfer.amount AS points
        FROM ledger.transfer WHERE transfer.book_id = $1
        UNION ALL
        SELECT transfer.credit, transfer.amount FROM ledger.transfer WHERE transfer.book_id = $1
    ) AS side
    WHERE get_byte(side.id, 11) >> 4 BETWEEN 1 AND 5
    GROUP BY side.id
) AS log
