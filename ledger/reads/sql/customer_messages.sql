-- The messages on which customers $3 in a book $1 of brand $2 were reported, of each customer after the seq in $4, the first $6 transfers,
-- none after $5: by each one's place in $3, channel and message, NULL for none. Verified are acts with evidence of grade A or B. Also the last
-- seq that was read of each customer, and how many transfers were.
--
-- Each customer's transfers are read by the only index that has this order, and each event is looked up by its key: LIMIT keeps the
-- planner to it.

SELECT
    wanted.n, act.channel, act.message_id, count(*) FILTER (WHERE act.grade IN ('A', 'B')) AS verified,
    max(act.seq) AS last_seq, count(*) AS transfers
FROM unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS wanted (customer, after, n)
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT next.seq, event.channel, event.message_id, event.grade
    FROM (
        SELECT transfer.seq, transfer.verb, transfer.campaign_no, transfer.event_key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.customer IS NOT NULL
            AND (transfer.customer, transfer.seq) > (wanted.customer, wanted.after)
            AND (transfer.customer, transfer.seq) <= (wanted.customer, $5)
        ORDER BY transfer.customer, transfer.seq
        LIMIT $6
    ) AS next
    LEFT JOIN LATERAL (
        SELECT event.channel, event.message_id, event.grade
        FROM ledger.event
        WHERE event.book_id = $1 AND event.campaign_no = next.campaign_no AND event.key = next.event_key
            AND next.verb IN (2, 3)  -- GRANT, HOLD_BACK
        LIMIT 1
    ) AS event ON true
) AS act
GROUP BY wanted.n, act.channel, act.message_id
