-- The log of a book for journals, $2 < seq <= $3 of the book $1, in order, with what was reported of a grant and of a step of a
-- redemption. $4: the time zone of accounting dates.
--
-- Each look-up is by its table's primary key, whatever the planner knows of the tables: LIMIT keeps them from being joined whole.

SELECT
    transfer.seq, coalesce(transfer.transaction_id, transfer.seq) AS transaction_id,
    ledger.accounting_date_v1(transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $4::text) AS day,
    ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb, transfer.debit, transfer.credit, transfer.amount, transfer.campaign_no,
    event.action, event.channel, redemption.id AS redemption, redemption.order_ref, step.ref,
    coalesce(step.store_id, redemption.store_id) AS store_id, coalesce(step.terminal_id, redemption.terminal_id) AS terminal_id
FROM ledger.transfer
LEFT JOIN LATERAL (
    SELECT event.action, event.channel
    FROM ledger.event
    WHERE event.book_id = $1::integer AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    LIMIT 1
) AS event ON true
LEFT JOIN LATERAL (
    SELECT redemption.id, redemption.order_ref, redemption.store_id, redemption.terminal_id
    FROM ledger.redemption
    WHERE redemption.book_id = $1::integer AND redemption.id = CASE 3  -- the tag of a redemption's accounts
        WHEN get_byte(transfer.credit, 0) THEN ledger.account_number_v1(transfer.credit)
        WHEN get_byte(transfer.debit, 0) THEN ledger.account_number_v1(transfer.debit)
    END
    LIMIT 1
) AS redemption ON true
LEFT JOIN LATERAL (
    SELECT step.ref, step.store_id, step.terminal_id
    FROM ledger.redemption_step AS step
    WHERE redemption.id IS NOT NULL AND step.book_id = $1::integer
        AND step.seq = coalesce(transfer.transaction_id, transfer.seq)
    LIMIT 1
) AS step ON true
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
ORDER BY transfer.seq
