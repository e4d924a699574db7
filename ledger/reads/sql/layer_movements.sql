-- What a piece of the log of a book $1 of brand $2, $3 < seq <= $4, moved of each layer, as movements.sql has it: the campaign, channel,
-- action and grade are those of the grant that the points came from, and issued_on is its accounting date. With $5, the same of the
-- layers that the piece brought in instead, as they were moved up to the transfer $5.
--
-- One of the two halves is planned. Transfers are looked up one by one: both by their seq. The order is for the index by layer.

SELECT
    moved.day, moved.verb, moved.debit, moved.credit, part.campaign_no, event.channel, event.action, event.grade::text AS grade,
    issued.day AS issued_on,
    count(*) AS transfers, sum(part.amount)::bigint AS points, min(part.seq) AS first_seq, max(part.seq) AS last_seq
FROM (
    SELECT part.campaign_no, part.seq, part.layer, part.amount
    FROM ledger.transfer_layer AS part
    WHERE $5::bigint IS NULL AND part.book_id = $1 AND part.seq > $3 AND part.seq <= $4
    UNION ALL
    (
        SELECT part.campaign_no, part.seq, part.layer, part.amount
        FROM ledger.transfer_layer AS part
        WHERE $5::bigint IS NOT NULL AND part.book_id = $1 AND part.layer > $3 AND part.layer <= $4 AND part.seq <= $5
        ORDER BY part.layer
        OFFSET 0
    )
) AS part
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT
        ledger.accounting_date_v1(
            transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
        ) AS day,
        ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
        get_byte(transfer.debit, 11) AS debit, get_byte(transfer.credit, 11) AS credit
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.seq = part.seq
    OFFSET 0
) AS moved
LEFT JOIN LATERAL (
    SELECT
        ledger.accounting_date_v1(
            transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
        ) AS day,
        transfer.event_key
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.seq = part.layer
    OFFSET 0
) AS issued ON true
LEFT JOIN LATERAL (
    SELECT event.channel, event.action, event.grade
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = part.campaign_no AND event.key = issued.event_key
    LIMIT 1
) AS event ON issued.event_key IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
