-- What the accounts of customers $3 in a book $1 of brand $2 have by class: in lots, and set aside for purchases; and the
-- seq up to which that is.

SELECT owed.class, sum(owed.points)::bigint AS points, head.seq
FROM ledger.head
LEFT JOIN LATERAL (
    SELECT ledger.account_class_v1(account.id) AS class, account.credits - account.debits AS points
    FROM unnest($3::bigint[]) AS wanted (customer)
    CROSS JOIN LATERAL (
        SELECT account.id, account.credits, account.debits
        FROM ledger.account
        WHERE account.book_id = $1
            AND account.id >= ledger.accounts_from_v1(ledger.customer_owner_v1(wanted.customer), 'lot')
            AND account.id < ledger.accounts_from_v1(ledger.customer_owner_v1(wanted.customer), 'pending')
        OFFSET 0
    ) AS account
    UNION ALL
    SELECT ledger.account_class_v1(account.id), account.credits - account.debits
    FROM unnest($3::bigint[]) AS wanted (customer)
    CROSS JOIN LATERAL (
        SELECT redemption.id
        FROM ledger.redemption
        WHERE redemption.book_id = $1
            AND redemption.customer BETWEEN wanted.customer AND wanted.customer
            AND redemption.closed_at IS NULL
        ORDER BY redemption.customer
        OFFSET 0
    ) AS hold
    CROSS JOIN LATERAL (
        SELECT account.id, account.credits, account.debits
        FROM ledger.account
        WHERE account.book_id = $1
            AND account.id >= ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'held')
            AND account.id < ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'spent')
        OFFSET 0
    ) AS account
) AS owed ON true
WHERE head.book_id = $1 AND head.brand_id = $2
GROUP BY owed.class, head.seq
