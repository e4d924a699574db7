-- The newest redemptions of a book $1 of brand $2, of customer $3, order $4 or store $5 (NULL is any), with ids $6 < id < $7, $8 at most.
-- Their status is not looked at.

SELECT redemption.id, redemption.customer, redemption.order_ref, redemption.store_id, redemption.terminal_id, NULL AS status
FROM ledger.redemption
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE redemption.book_id = $1
    AND ($3::bigint IS NULL OR redemption.customer = $3)
    AND ($4::text IS NULL OR redemption.order_ref = $4)
    AND ($5::text IS NULL OR redemption.store_id = $5)
    AND redemption.id > $6 AND redemption.id < $7
ORDER BY redemption.id DESC
LIMIT $8
