-- What a book $1 of brand $2 has kept of operation $3 under the hashed idempotency key $4.

SELECT kept.outcome, kept.request_hash, kept.answer::text
FROM ledger.idempotency_key AS kept
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE kept.book_id = $1 AND kept.operation = $3 AND kept.key = $4
