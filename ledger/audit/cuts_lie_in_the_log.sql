-- No cut is ahead of its book.

SELECT count(*), count(*) FILTER (WHERE cut.seq > head.seq), array_agg(cut.name) FILTER (WHERE cut.seq > head.seq)
FROM ledger.cut
JOIN ledger.head ON head.book_id = $1
WHERE cut.book_id = $1
