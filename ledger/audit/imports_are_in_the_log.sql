-- Each imported file opened as many lots and points as it is recorded with, and no lot was opened without a file.

SELECT count(*), count(*) FILTER (WHERE checked.wrong), array_agg('seq ' || checked.seq) FILTER (WHERE checked.wrong)
FROM (
    SELECT coalesce(imported.first_seq, opened.first_seq) AS seq,
        (imported.lots, imported.points) IS DISTINCT FROM (opened.lots, opened.points) AS wrong
    FROM (SELECT * FROM ledger.balance_import WHERE balance_import.book_id = $1) AS imported
    FULL JOIN (
        SELECT
            coalesce(transfer.transaction_id, transfer.seq) AS first_seq, count(*) AS lots,
            sum(transfer.amount) AS points
        FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.verb = 14
        GROUP BY coalesce(transfer.transaction_id, transfer.seq)
    ) AS opened ON opened.first_seq = imported.first_seq
) AS checked
