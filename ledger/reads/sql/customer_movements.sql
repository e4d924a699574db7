-- What the transfers of customers $3 in a book $1 of brand $2 moved, of each customer after the seq in $4, the first $6, none after $5 and
-- none with an accounting date after $7: by each one's place in $3, stretch of days and verb. Days from one of $8 to the next are a stretch, 0
-- are those before. Verified are acts with evidence of grade A or B, and acted_on is the day of the last of these; redemptions are those
-- captured from. Also the last seq that was read of each customer, and how many were.
--
-- Each customer's transfers are read by the only index that has this order, and each event is looked up by its key: LIMIT keeps the
-- planner to it.

SELECT
    wanted.n, moved.stretch, moved.verb, sum(moved.amount)::bigint AS points, max(moved.day) AS day,
    count(*) FILTER (WHERE moved.verified) AS verified, max(moved.acted_on) FILTER (WHERE moved.verified) AS acted_on,
    coalesce(array_agg(DISTINCT moved.redemption) FILTER (WHERE moved.redemption IS NOT NULL), '{}') AS redemptions,
    max(moved.seq) AS last_seq, count(*) AS transfers
FROM unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS wanted (customer, after, n)
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT
        next.seq, next.verb, next.amount, next.day, event.grade IN ('A', 'B') AS verified,
        (event.window_at AT TIME ZONE head.time_zone)::date AS acted_on,
        CASE WHEN next.day > $7::date THEN NULL ELSE width_bucket(next.day, $8::date[]) END AS stretch,
        CASE WHEN next.verb = 7 THEN ledger.account_number_v1(next.credit) END AS redemption  -- CAPTURE
    FROM (
        SELECT
            transfer.seq, transfer.amount, transfer.credit, transfer.campaign_no, transfer.event_key,
            ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb,
            ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
            ) AS day
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.customer IS NOT NULL
            AND (transfer.customer, transfer.seq) > (wanted.customer, wanted.after)
            AND (transfer.customer, transfer.seq) <= (wanted.customer, $5)
        ORDER BY transfer.customer, transfer.seq
        LIMIT $6
    ) AS next
    LEFT JOIN LATERAL (
        SELECT event.grade, event.window_at
        FROM ledger.event
        WHERE event.book_id = $1 AND event.campaign_no = next.campaign_no AND event.key = next.event_key
            AND next.verb IN (2, 3)  -- GRANT, HOLD_BACK
        LIMIT 1
    ) AS event ON true
) AS moved
GROUP BY wanted.n, moved.stretch, moved.verb
