-- What a piece of the log of a book $1 of brand $2, $3 < seq <= $4, moved: by accounting date, verb, kind and class of both accounts,
-- campaign, and channel, action and grade of the event. The log never changes, so neither does this.
--
-- Only if $5 is an event looked up, for each transfer that names one, which LIMIT 1 makes sure of. If $6 grants are also by the day on which
-- the act occurred, where that was before the day on which they were posted.

SELECT
    ledger.accounting_date_v1(
        transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
    ) AS day,
    ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
    get_byte(transfer.debit, 11) AS debit, get_byte(transfer.credit, 11) AS credit,
    transfer.campaign_no, event.channel, event.action, event.grade::text AS grade,
    CASE
        WHEN $6 AND transfer.verb = 2  -- GRANT
            AND transfer.occurred_at < date_trunc('day', transfer.posted_at, head.time_zone)
        THEN (transfer.occurred_at AT TIME ZONE head.time_zone)::date
    END AS occurred_on,
    count(*) AS transfers, sum(transfer.amount)::bigint AS points, min(transfer.seq) AS first_seq, max(transfer.seq) AS last_seq
FROM ledger.transfer
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN LATERAL (
    SELECT event.channel, event.action, event.grade
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    LIMIT 1
) AS event ON $5 AND transfer.event_key IS NOT NULL
WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
