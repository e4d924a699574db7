-- Points of a book $1 that were held back until $2 at the latest and are not settled yet, $6 at most: those after the time $4 and the
-- key $5, in this order. Only what was held back when the book's last transfer was $3. Where they are, and where a rejection puts
-- them.

SELECT
    due.due_at, due.key, due.campaign_no,
    ledger.account_id_v2(
        ledger.customer_owner_v1(due.customer), 'pending', (due.terms ->> 'class')::integer, 'infinity'
    ) AS debit,
    ledger.account_id_v2(
        ledger.campaign_owner_v1(due.campaign_no),
        CASE WHEN (due.terms ->> 'unlimited')::boolean THEN 'unlimited_budget' ELSE 'budget' END, 0, 'infinity'
    ) AS credit,
    due.amount, event.seq <= $3 AS is_in
FROM (
    SELECT
        pending.due_at, pending.key, pending.campaign_no, pending.customer, pending.amount, pending.charges::jsonb AS terms
    FROM ledger.pending
    WHERE pending.book_id = $1 AND pending.due_at <= $2
        AND pending.due_at >= $4 AND (pending.due_at, pending.key) > ($4, $5)
    ORDER BY pending.due_at, pending.key
    LIMIT $6
) AS due
CROSS JOIN LATERAL (
    SELECT event.seq FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = due.campaign_no AND event.key = due.key
    LIMIT 1
) AS event
ORDER BY due.due_at, due.key
