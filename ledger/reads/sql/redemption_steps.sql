-- The steps of redemptions in a piece of the log of a book $1 of brand $2, by their transactions, $3 < id <= $4, with accounting dates
-- from $5 to $6: whose step, what it was, how many points, the first transfer of each, what the redemption is worth, and the store and
-- terminal, which are those of the redemption unless others were given with the step.
--
-- A transaction's transfers follow each other, no more than $7 of them.

SELECT
    step.day, step.verb, step.redemption, step.points, step.seq, redemption.value,
    coalesce(said.store_id, redemption.store_id) AS store_id, coalesce(said.terminal_id, redemption.terminal_id) AS terminal_id
FROM (
    SELECT
        part.day, part.verb, part.redemption, sum(part.amount)::bigint AS points, min(part.seq) AS seq
    FROM (
        SELECT
            transfer.seq, transfer.amount, coalesce(transfer.transaction_id, transfer.seq) AS transaction,
            ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
            ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
            ) AS day,
            ledger.account_number_v1(CASE get_byte(transfer.debit, 0) WHEN 3 THEN transfer.debit ELSE transfer.credit END) AS redemption
        FROM ledger.transfer
        JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
        WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4::bigint + $7
            AND transfer.verb IN (6, 7, 8, 9, 16)  -- AUTHORIZE, CAPTURE, VOID, REFUND, TIME_OUT
    ) AS part
    WHERE part.transaction > $3 AND part.transaction <= $4 AND part.day BETWEEN $5 AND $6
    GROUP BY part.transaction, part.verb, part.redemption, part.day
) AS step
LEFT JOIN LATERAL (
    SELECT redemption.value, redemption.store_id, redemption.terminal_id
    FROM ledger.redemption
    WHERE redemption.book_id = $1 AND redemption.id BETWEEN step.redemption AND step.redemption
    ORDER BY redemption.id
    OFFSET 0
) AS redemption ON true
LEFT JOIN LATERAL (
    SELECT said.store_id, said.terminal_id
    FROM ledger.redemption_step AS said
    WHERE said.book_id = $1 AND said.seq BETWEEN step.seq AND step.seq
    ORDER BY said.seq
    OFFSET 0
) AS said ON true
ORDER BY step.seq
