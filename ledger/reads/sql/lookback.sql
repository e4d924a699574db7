-- Where a span of time $3 begins in a book $1 of brand $2: the first seq and the first place whose time is within it. Both
-- streams are in the order of their times, so the place is found by halving: all below low is older, all from high on is
-- within.

WITH RECURSIVE reading AS (
    SELECT now.at, now.at - $3::interval AS since, head.seq, head.places
    FROM ledger.head
    CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS now
    WHERE head.book_id = $1 AND head.brand_id = $2
), of_transfers (low, high) AS (
    SELECT 1::bigint, reading.seq + 1 FROM reading
    UNION ALL
    SELECT
        CASE WHEN first.posted_at <= reading.since THEN first.seq + 1 ELSE half.low END,
        CASE WHEN first.posted_at <= reading.since THEN half.high ELSE half.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM of_transfers WHERE low < high) AS half
    CROSS JOIN reading
    LEFT JOIN LATERAL (
        SELECT transfer.seq, transfer.posted_at
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq >= half.middle AND transfer.seq < half.high
        ORDER BY transfer.seq
        LIMIT 1
    ) AS first ON true
), of_decisions (low, high) AS (
    SELECT 1::bigint, reading.places + 1 FROM reading
    UNION ALL
    SELECT
        CASE WHEN first.decided_at <= reading.since THEN first.place + 1 ELSE half.low END,
        CASE WHEN first.decided_at <= reading.since THEN half.high ELSE half.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM of_decisions WHERE low < high) AS half
    CROSS JOIN reading
    LEFT JOIN LATERAL (
        SELECT event.place, event.decided_at
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place >= half.middle AND event.place < half.high
        ORDER BY event.place
        LIMIT 1
    ) AS first ON true
)
SELECT
    reading.since, reading.at AS until,
    (SELECT of_transfers.low FROM of_transfers WHERE of_transfers.low = of_transfers.high) AS seq,
    (SELECT of_decisions.low FROM of_decisions WHERE of_decisions.low = of_decisions.high) AS place
FROM reading
