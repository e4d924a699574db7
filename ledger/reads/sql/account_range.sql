-- The head's seq of a book $1 of brand $2, and the last account id of the next $4 + 1 accounts after the id $3; NULL if there
-- are fewer.

SELECT
    head.seq,
    (
        SELECT account.id FROM ledger.account
        WHERE account.book_id = $1 AND account.id > $3
        ORDER BY account.id
        OFFSET $4 LIMIT 1
    ) AS until
FROM ledger.head
WHERE head.book_id = $1 AND head.brand_id = $2
