-- How many points a brand may ever issue, and how many it has issued.
-- $1 is the book, $2 the brand. Returns one row, or none for another brand's book. Locks nothing.

SELECT head.issue_limit::bigint AS issue_limit, coalesce(issuance.debits - issuance.credits, 0)::bigint AS issued
FROM ledger.head
LEFT JOIN ledger.account AS issuance
    ON issuance.book_id = $1
    AND issuance.id = ledger.account_id_v2(ledger.house_owner_v1(), 'issuance', 0, 'infinity')
WHERE head.book_id = $1 AND head.brand_id = $2
