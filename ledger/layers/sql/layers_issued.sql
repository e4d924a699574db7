-- What brought layers in: the transfer, and of a grant its event. What was erased of an event is NULL.
-- $1 book, $2 layers. Locks nothing.

SELECT
    issue.seq, issue.verb, issue.posted_at, issue.campaign_no, issue.event_key, issue.customer, issue.amount, issue.credit,
    event.action, event.channel
FROM ledger.transfer AS issue
LEFT JOIN LATERAL (
    SELECT event.action, event.channel FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = issue.campaign_no AND event.key = issue.event_key
    LIMIT 1
) AS event ON true
WHERE issue.book_id = $1 AND issue.seq = ANY ($2)
