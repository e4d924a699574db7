-- The last place in a book $1 of brand $2 that was given before a business date $3; 0 without any. No row: there is no such book.
--
-- Places are in the order of their times, with holes: one that is decided again leaves its place. All below low is before the
-- day, all from high on is not.

WITH RECURSIVE halving (low, high, time_zone) AS (
    SELECT 1::bigint, head.places + 1, head.time_zone FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2
    UNION ALL
    SELECT
        CASE WHEN first.is_before THEN first.place + 1 ELSE half.low END,
        CASE WHEN first.is_before THEN half.high ELSE half.middle END,
        half.time_zone
    FROM (SELECT low, high, (low + high) / 2 AS middle, time_zone FROM halving WHERE low < high) AS half
    LEFT JOIN LATERAL (
        SELECT event.place, (event.decided_at AT TIME ZONE half.time_zone)::date < $3::date AS is_before
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place >= half.middle AND event.place < half.high
        ORDER BY event.place
        LIMIT 1
    ) AS first ON true
)
SELECT halving.low - 1 AS place FROM halving WHERE halving.low = halving.high
