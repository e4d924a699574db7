-- Up to which seq the daily movements of a book $1 of brand $2 are kept, and their first and last day. 0 while they are being built again.

SELECT
    reader.daily_seq * (NOT reader.clearing)::int AS seq,
    (SELECT min(sums.day) FROM ledger.daily_movement AS sums WHERE sums.book_id = $1) AS first_day,
    (SELECT max(sums.day) FROM ledger.daily_movement AS sums WHERE sums.book_id = $1) AS last_day
FROM ledger.layer_reader AS reader
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE reader.book_id = $1
