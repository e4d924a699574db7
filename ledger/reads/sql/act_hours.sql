-- When customers acted whose acts a piece of the log of a book $1 of brand $2, $3 < seq <= $4, has: by channel, whether the evidence was of
-- grade A or B, day of the week (1 is Monday) and hour, in the book's time zone.

SELECT
    event.channel, event.grade IN ('A', 'B') AS verified,
    extract(isodow FROM acted.at)::integer AS weekday, extract(hour FROM acted.at)::integer AS hour, count(*) AS acts
FROM ledger.transfer
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
LEFT JOIN LATERAL (
    SELECT event.channel, event.grade, event.window_at
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    LIMIT 1
) AS event ON true
CROSS JOIN LATERAL (SELECT event.window_at AT TIME ZONE head.time_zone AS at) AS acted
WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
    AND transfer.verb IN (2, 3)  -- GRANT, HOLD_BACK
GROUP BY 1, 2, 3, 4
