-- The steps of redemptions in a piece of the log of a book $1 of brand $2, by their transactions, $3 < id <= $4, with accounting dates
-- from $5 to $6: whose step, what it was, how many points, and the first transfer of each.
--
-- A transaction's transfers follow each other, no more than $7 of them.

SELECT
    step.day, step.verb, step.redemption, sum(step.amount)::bigint AS points, min(step.seq) AS seq
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
) AS step
WHERE step.transaction > $3 AND step.transaction <= $4 AND step.day BETWEEN $5 AND $6
GROUP BY step.transaction, step.verb, step.redemption, step.day
ORDER BY seq
