-- The newest redemptions of a book $1 of brand $2, of customer $3 and order $4 (NULL is any), below the id $5, $6 at most.
-- Their status is not looked at.

SELECT redemption.id, NULL AS status
FROM ledger.redemption
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE redemption.book_id = $1
    AND ($3::bigint IS NULL OR redemption.customer = $3)
    AND ($4::text IS NULL OR redemption.order_ref = $4)
    AND ($5::bigint IS NULL OR redemption.id < $5)
ORDER BY redemption.id DESC
LIMIT $6
