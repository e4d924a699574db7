-- What was posted in a book, $2 < seq <= $3 of the book $1, added up by accounting date, campaign, channel, verb, and kinds and
-- classes of the accounts, in that order. $4: the time zone of accounting dates.
--
-- The look-up is by the table's primary key, whatever the planner knows of the table: LIMIT keeps it from being joined whole.

SELECT
    ledger.accounting_date_v1(transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $4::text) AS day,
    transfer.campaign_no, event.channel, ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
    get_byte(transfer.debit, 11) AS debit, get_byte(transfer.credit, 11) AS credit,
    sum(transfer.amount)::bigint AS points, count(*) AS transfers
FROM ledger.transfer
LEFT JOIN LATERAL (
    SELECT event.channel
    FROM ledger.event
    WHERE event.book_id = $1::integer AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    LIMIT 1
) AS event ON true
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
