-- An expiry counts on its lot's last day, a time-out on the day of its hold's deadline, with what is taken back of it, a rejection by
-- time on the day of its event's, and nothing else says that it fell due.
--
-- A void was posted before the deadline; of before there were accounting dates, one that was not is a time-out. What was paid to a
-- dead lot then expired on the day it was paid. And a rejection by time of then does not say so.

SELECT count(*), count(*) FILTER (WHERE due.is_wrong), array_agg('seq ' || due.seq) FILTER (WHERE due.is_wrong)
FROM (
    SELECT
        transfer.seq,
        coalesce(CASE transfer.verb
            WHEN 5 THEN (transfer.due_on IS NOT NULL) <> (transfer.occurred_at = event.due_at)
                OR transfer.due_on <> (event.due_at AT TIME ZONE head.time_zone)::date
            WHEN 8 THEN (transfer.due_on IS NOT NULL) <> (transfer.posted_at >= redemption.deadline)
                OR transfer.due_on <> (redemption.deadline AT TIME ZONE head.time_zone)::date
            WHEN 10 THEN transfer.due_on <> ledger.account_expires_on_v1(transfer.debit) AND NOT EXISTS (
                SELECT FROM ledger.transfer AS paid
                WHERE paid.book_id = $1 AND paid.customer = transfer.customer AND paid.seq < transfer.seq
                    AND paid.credit = transfer.debit AND (paid.posted_at AT TIME ZONE head.time_zone)::date = transfer.due_on
            )
            WHEN 11 THEN NOT EXISTS (
                SELECT FROM ledger.transfer AS time_out
                WHERE time_out.book_id = $1 AND time_out.seq >= coalesce(transfer.transaction_id, transfer.seq)
                    AND time_out.seq < transfer.seq AND time_out.verb = 16 AND time_out.due_on = transfer.due_on
                    AND time_out.occurred_at = transfer.occurred_at AND time_out.credit = transfer.debit
            )
            WHEN 16 THEN transfer.due_on IS DISTINCT FROM (redemption.deadline AT TIME ZONE head.time_zone)::date
                OR transfer.posted_at < redemption.deadline OR transfer.occurred_at <> redemption.deadline
            ELSE true
        END, false) AS is_wrong
    FROM ledger.head
    JOIN ledger.transfer ON transfer.book_id = head.book_id
    LEFT JOIN ledger.redemption
        ON transfer.verb IN (8, 16) AND redemption.book_id = $1 AND redemption.id = ledger.account_number_v1(transfer.debit)
    LEFT JOIN ledger.event
        ON transfer.verb = 5 AND event.book_id = $1 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    WHERE head.book_id = $1 AND (transfer.verb IN (5, 8, 10, 16) OR transfer.due_on IS NOT NULL)
) AS due
