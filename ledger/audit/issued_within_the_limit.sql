-- Issuance has paid out no more than the brand authorized.

SELECT 1, (coalesce(sum(transfer.amount), 0) > (SELECT head.issue_limit FROM ledger.head WHERE head.book_id = $1)
    )::integer::bigint, ARRAY[]::text[]
FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.verb = 1
