-- What is taken back of holds of a book $1 that have timed out by $2 and are not released yet: by day, lot, event and budget. Only of
-- what was held when the book's last transfer was $3.

SELECT due.day, due.lot AS debit, due.budget AS credit, due.campaign_no, due.event_key, sum(due.points)::bigint AS amount
FROM ledger.head
CROSS JOIN LATERAL (
    SELECT DISTINCT redemption.customer
    FROM ledger.redemption
    WHERE redemption.book_id = $1 AND redemption.closed_at IS NULL AND redemption.deadline <= $2
        AND ledger.owes_v1($1, redemption.id)
) AS holder
CROSS JOIN LATERAL ledger.due_claw_backs_v1($1, holder.customer, $2, head.time_zone, head.grace_days::integer) AS due
WHERE head.book_id = $1 AND head.owing AND due.redemption <= $3
GROUP BY due.day, due.lot, due.budget, due.campaign_no, due.event_key
