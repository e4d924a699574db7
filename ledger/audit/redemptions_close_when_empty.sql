-- An open redemption holds points, and a closed one holds none.

SELECT count(*), count(*) FILTER (WHERE (sums.held > 0) <> (redemption.closed_at IS NULL)),
    array_agg('redemption ' || redemption.id) FILTER (WHERE (sums.held > 0) <> (redemption.closed_at IS NULL))
FROM ledger.redemption
CROSS JOIN LATERAL (
    SELECT coalesce(sum(account.credits - account.debits), 0) AS held
    FROM ledger.account
    WHERE account.book_id = $1
        AND account.id >= ledger.account_owner_v1(3, redemption.id) || '\x30'::bytea
        AND account.id < ledger.account_owner_v1(3, redemption.id) || '\x40'::bytea
) AS sums
WHERE redemption.book_id = $1
