-- Of each redemption, refunded is at most captured, and captured at most authorized.

SELECT count(*), count(*) FILTER (WHERE wrong), array_agg('redemption ' || summed.id) FILTER (WHERE wrong)
FROM (
    SELECT redemption.id, NOT (sums.refunded <= sums.captured AND sums.captured <= sums.authorized
        AND sums.authorized > 0) AS wrong
    FROM ledger.redemption
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(account.credits) FILTER (WHERE account.kind = 3), 0) AS authorized,
            coalesce(sum(account.credits) FILTER (WHERE account.kind = 4), 0) AS captured,
            coalesce(sum(account.debits) FILTER (WHERE account.kind = 4), 0) AS refunded
        FROM ledger.account
        WHERE account.book_id = $1
            AND account.id >= ledger.account_owner_v1(3, redemption.id) || '\x30'::bytea
            AND account.id < ledger.account_owner_v1(3, redemption.id) || '\x50'::bytea
    ) AS sums
    WHERE redemption.book_id = $1
) AS summed
