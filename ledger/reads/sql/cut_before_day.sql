-- The last transfer before a business date $3 in a book $1 of brand $2: its seq and when it was posted. Of a book that had none
-- by then, seq 0 and when its first was posted, or when it was opened if there is none yet. No row: there is no such book.
--
-- The log is in the order of its times, so the place is found by halving: all below low is before, all from high on is not.

WITH RECURSIVE halving (low, high, time_zone) AS (
    SELECT 1::bigint, head.seq + 1, head.time_zone FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2
    UNION ALL
    SELECT
        CASE WHEN posted.is_before THEN half.middle + 1 ELSE half.low END,
        CASE WHEN posted.is_before THEN half.high ELSE half.middle END,
        half.time_zone
    FROM (SELECT low, high, (low + high) / 2 AS middle, time_zone FROM halving WHERE low < high) AS half
    CROSS JOIN LATERAL (
        SELECT (transfer.posted_at AT TIME ZONE half.time_zone)::date < $3::date AS is_before
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq = half.middle
        LIMIT 1
    ) AS posted
)
SELECT
    halving.low - 1 AS seq,
    coalesce(
        (
            SELECT transfer.posted_at FROM ledger.transfer
            WHERE transfer.book_id = $1 AND transfer.seq = greatest(halving.low - 1, 1)
        ),
        head.posted_at
    ) AS posted_at
FROM halving
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE halving.low = halving.high
