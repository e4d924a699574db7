-- What there was before a business date $3 in a book $1 of brand $2: the last transfer, by its seq, and when it was posted; and the
-- last place. Of a book that had no transfer by then, seq 0 and when its first was posted, or when it was opened if there is none
-- yet; without any place, 0. No row: there is no such book.
--
-- Both streams are in the order of their times, so each is halved: all below low is before the day, all from high on is not. Places
-- have holes: one that is decided again leaves its place.

WITH RECURSIVE book AS (
    SELECT head.seq, head.places, head.posted_at, head.time_zone FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2
), of_transfers (low, high) AS (
    SELECT 1::bigint, book.seq + 1 FROM book
    UNION ALL
    SELECT
        CASE WHEN posted.is_before THEN half.middle + 1 ELSE half.low END,
        CASE WHEN posted.is_before THEN half.high ELSE half.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM of_transfers WHERE low < high) AS half
    CROSS JOIN book
    CROSS JOIN LATERAL (
        SELECT (transfer.posted_at AT TIME ZONE book.time_zone)::date < $3::date AS is_before
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq = half.middle
        LIMIT 1
    ) AS posted
), of_places (low, high) AS (
    SELECT 1::bigint, book.places + 1 FROM book
    UNION ALL
    SELECT
        CASE WHEN first.is_before THEN first.place + 1 ELSE half.low END,
        CASE WHEN first.is_before THEN half.high ELSE half.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM of_places WHERE low < high) AS half
    CROSS JOIN book
    LEFT JOIN LATERAL (
        SELECT event.place, (event.decided_at AT TIME ZONE book.time_zone)::date < $3::date AS is_before
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place >= half.middle AND event.place < half.high
        ORDER BY event.place
        LIMIT 1
    ) AS first ON true
)
SELECT
    of_transfers.low - 1 AS seq,
    coalesce(
        (
            SELECT transfer.posted_at FROM ledger.transfer
            WHERE transfer.book_id = $1 AND transfer.seq = greatest(of_transfers.low - 1, 1)
        ),
        book.posted_at
    ) AS posted_at,
    of_places.low - 1 AS place
FROM book
JOIN of_transfers ON of_transfers.low = of_transfers.high
JOIN of_places ON of_places.low = of_places.high
