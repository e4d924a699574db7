-- Acts that a book $1 has paid more than once to one customer: the same campaign, message, action and qualifier, under two keys. At
-- most $2 examples, each with its grants.
-- One row: how many acts were paid, how many of them more than once, and examples of these. What was erased cannot be compared.
-- Locks nothing.

SELECT
    count(*) AS acts, count(*) FILTER (WHERE act.times > 1) AS doubled,
    (array_agg(format('customer %s: %s', act.customer, array_to_string(act.grants, ', ')) ORDER BY act.customer, act.grants)
        FILTER (WHERE act.times > 1))[1:$2] AS examples
FROM (
    SELECT
        event.customer, count(*) AS times,
        array_agg('grt_' || lpad(to_hex(event.campaign_no), 8, '0') || encode(event.key, 'hex') ORDER BY event.seq) AS grants
    FROM ledger.event
    WHERE event.book_id = $1 AND event.outcome IN (1, 6) AND event.message_id IS NOT NULL  -- GRANTED, HELD_BACK
    GROUP BY event.customer, event.campaign_no, event.message_id, event.action, coalesce(event.qualifier, '')
) AS act
