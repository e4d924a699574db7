-- Of a piece of a book's log, $4 < seq <= $5 of the book $1, what was posted after the seq $2 and fell due by $3 at a deadline: see
-- fell_due_v1. Transfers are looked up one by one.

SELECT
    due.verb, due.debit, due.credit, due.amount, due.event_key, coalesce(due.campaign_no, 0) AS campaign_no, posted.due_on AS day
FROM ledger.fell_due_v1($1, $2, $3, NULL, $4, $5) AS due
CROSS JOIN LATERAL (
    SELECT transfer.due_on FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq = due.seq LIMIT 1
) AS posted
