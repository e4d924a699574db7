-- What happened to customers $3 of a book $1 of brand $2, newest first, $6 at most: their transfers with a seq below $4, and decisions
-- that moved no points with a place below $5. With it come the event, the redemption and the correction that a transfer belongs to.
--
-- Each look-up ends in LIMIT, so rows are read by whom they belong to and by their keys, whatever the planner knew of the tables.

WITH found AS (
    SELECT line.seq, NULL::bigint AS place, line.campaign_no, line.key
    FROM unnest($3::bigint[]) AS wanted (customer)
    CROSS JOIN LATERAL (
        SELECT transfer.seq, transfer.campaign_no, transfer.event_key AS key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq < $4
        ORDER BY transfer.seq DESC
        LIMIT $6
    ) AS line
    UNION ALL
    SELECT line.seq, line.place, line.campaign_no, line.key
    FROM unnest($3::bigint[]) AS wanted (customer)
    CROSS JOIN LATERAL (
        SELECT event.seq, event.place, event.campaign_no, event.key
        FROM ledger.event
        WHERE event.book_id = $1 AND event.customer = wanted.customer AND event.place < $5
        ORDER BY event.place DESC
        LIMIT $6
    ) AS line
), newest AS (
    SELECT * FROM found ORDER BY found.seq DESC, found.place DESC NULLS LAST LIMIT $6
)
SELECT
    newest.seq, newest.place, newest.campaign_no, newest.key,
    transfer.posted_at, transfer.occurred_at, transfer.verb, transfer.debit, transfer.credit, transfer.amount,
    transfer.transaction_id, transfer.accounting_date, transfer.leaf_version, transfer.details_hash,
    event.outcome, event.points, event.grade, event.window_at, event.decided_at, event.due_at, event.campaign_version, event.rule,
    event.action, event.channel, event.message_id, event.metadata, event.principal, event.source,
    redemption.id AS redemption, redemption.order_ref, redemption.store_id, redemption.terminal_id,
    correction.reason, correction.reference, correction.note, correction.principal AS corrected_by
FROM newest
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN LATERAL (
    SELECT
        transfer.posted_at, transfer.occurred_at, ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
        transfer.debit, transfer.credit, transfer.amount, coalesce(transfer.transaction_id, transfer.seq) AS transaction_id,
        ledger.accounting_date_v1(
            transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
        ) AS accounting_date,
        transfer.leaf_version, transfer.details_hash,
        CASE 3  -- a redemption's accounts
            WHEN get_byte(transfer.debit, 0) THEN ledger.account_number_v1(transfer.debit)
            WHEN get_byte(transfer.credit, 0) THEN ledger.account_number_v1(transfer.credit)
        END AS redemption
    FROM ledger.transfer
    WHERE newest.place IS NULL AND transfer.book_id = $1 AND transfer.seq = newest.seq
    LIMIT 1
) AS transfer ON true
LEFT JOIN LATERAL (
    SELECT
        standing.outcome, CASE WHEN standing.outcome = event.outcome THEN event.points ELSE 0 END AS points,
        event.grade::text AS grade, event.window_at, event.decided_at, event.due_at, event.campaign_version, event.rule,
        event.action, event.channel, event.message_id, event.metadata, event.principal, event.source
    FROM ledger.event
    CROSS JOIN LATERAL (
        SELECT ledger.outcome_at_v1(
            event.outcome, event.due_at, greatest(head.posted_at, clock_timestamp() + head.clock_offset)
        ) AS outcome
    ) AS standing
    WHERE event.book_id = $1 AND event.campaign_no = newest.campaign_no AND event.key = newest.key
    LIMIT 1
) AS event ON true
LEFT JOIN LATERAL (
    SELECT redemption.id, redemption.order_ref, redemption.store_id, redemption.terminal_id
    FROM ledger.redemption
    WHERE redemption.book_id = $1 AND redemption.id = transfer.redemption
    LIMIT 1
) AS redemption ON true
LEFT JOIN LATERAL (
    SELECT correction.reason, correction.reference, correction.note, correction.principal
    FROM ledger.correction
    WHERE transfer.verb IN (11, 12)  -- CLAWBACK, ADJUST
        AND correction.book_id = $1 AND correction.seq = transfer.transaction_id
    LIMIT 1
) AS correction ON true
ORDER BY newest.seq DESC, newest.place DESC NULLS LAST
