-- Of a piece of the log of a book $1 of brand $2, $3 < seq <= $4, in order, $5 at most: those with one of the verbs $6, of the campaign
-- $7, of the accounting class $8, with accounting dates from $9 to $10, and of events with the channel $11, the action $12 and the
-- grade $13, which occurred on the days from $14 to $15. NULL is any.
--
-- The class is that of the customer's or redemption's account; of two such accounts it is the same.

SELECT
    transfer.seq, transfer.posted_at, transfer.occurred_at, moved.verb, transfer.debit, transfer.credit, transfer.amount,
    transfer.customer, transfer.campaign_no, transfer.event_key,
    coalesce(transfer.transaction_id, transfer.seq) AS transaction_id, transfer.due_at, moved.accounting_date
FROM ledger.transfer
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT
        ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
        ledger.accounting_date_v1(
            transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
        ) AS accounting_date,
        ledger.account_class_v1(
            CASE WHEN ledger.account_kind_v1(transfer.credit) <= 4 THEN transfer.credit ELSE transfer.debit END
        ) AS class
) AS moved
WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
    AND ($6::smallint[] IS NULL OR moved.verb = ANY ($6))
    AND ($7::integer IS NULL OR transfer.campaign_no = $7)
    AND ($8::integer IS NULL OR moved.class = $8)
    AND ($9::date IS NULL OR moved.accounting_date >= $9)
    AND ($10::date IS NULL OR moved.accounting_date <= $10)
    AND ($14::date IS NULL OR (transfer.occurred_at AT TIME ZONE head.time_zone)::date >= $14)
    AND ($15::date IS NULL OR (transfer.occurred_at AT TIME ZONE head.time_zone)::date <= $15)
    AND (num_nulls($11::text, $12::text, $13::text) = 3 OR EXISTS (
        SELECT FROM ledger.event
        WHERE event.book_id = $1 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
            AND event.channel = coalesce($11, event.channel) AND event.action = coalesce($12, event.action)
            AND event.grade::text = coalesce($13, event.grade::text)
    ))
ORDER BY transfer.seq
LIMIT $5
