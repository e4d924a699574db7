-- Where the log of a book $1 of brand $2 ends, how far its layers have been read, and how much of it is in the daily movements. While these
-- are being built again, nothing counts. Locks nothing.

SELECT
    head.seq, reader.clearing, CASE WHEN reader.clearing THEN 0 ELSE coalesce(reader.seq, 0) END AS read,
    CASE WHEN reader.clearing THEN 0 ELSE coalesce(reader.daily_seq, 0) END AS added
FROM ledger.head
LEFT JOIN ledger.layer_reader AS reader ON reader.book_id = $1
WHERE head.book_id = $1 AND head.brand_id = $2
