-- Each account's debits and credits are the sums of its transfers, and there is no other account.

SELECT count(*), count(*) FILTER (WHERE both_sides.differs),
    array_agg(encode(both_sides.id, 'hex')) FILTER (WHERE both_sides.differs)
FROM (
    SELECT
        coalesce(account.id, log.id) AS id,
        coalesce(account.debits, 0) <> coalesce(log.debits, 0)
            OR coalesce(account.credits, 0) <> coalesce(log.credits, 0) AS differs
    FROM (SELECT * FROM ledger.account WHERE account.book_id = $1) AS account
    FULL JOIN (
        SELECT side.id, sum(side.debits)::bigint AS debits, sum(side.credits)::bigint AS credits
        FROM (
            SELECT transfer.debit AS id, transfer.amount AS debits, 0 AS credits
            FROM ledger.transfer WHERE transfer.book_id = $1
            UNION ALL
            SELECT transfer.credit, 0, transfer.amount FROM ledger.transfer WHERE transfer.book_id = $1
        ) AS side
        GROUP BY side.id
    ) AS log ON log.id = account.id
) AS both_sides
