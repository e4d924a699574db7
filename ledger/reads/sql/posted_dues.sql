-- Of a piece of a book's log, $4 < seq <= $5 of the book $1, what was posted after the seq $2 and fell due by $3 at a deadline: see
-- fell_due_v1.

SELECT
    due.verb, due.debit, due.credit, due.amount, due.event_key, coalesce(due.campaign_no, 0) AS campaign_no, posted.due_on AS day
FROM ledger.fell_due_v1($1, $2, $3, NULL, $4, $5) AS due
JOIN ledger.transfer AS posted ON posted.book_id = $1 AND posted.seq = due.seq
