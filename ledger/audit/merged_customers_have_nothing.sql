-- A merged customer is frozen, has no points, holds or redemptions, and names a survivor who is not merged.

SELECT count(*), count(*) FILTER (WHERE checked.wrong),
    array_agg('customer ' || checked.customer) FILTER (WHERE checked.wrong)
FROM (
    SELECT merged.customer, NOT merged.frozen OR survivor.customer IS NULL OR survivor.moved_to IS NOT NULL
        OR EXISTS (
            SELECT FROM ledger.account
            WHERE account.book_id = $1 AND account.credits > account.debits
                AND account.id >= ledger.account_owner_v1(1, merged.customer) || '\x10'::bytea
                AND account.id < ledger.account_owner_v1(1, merged.customer) || '\x30'::bytea
        )
        OR EXISTS (
            SELECT FROM ledger.redemption WHERE redemption.book_id = $1 AND redemption.customer = merged.customer
        )
        OR EXISTS (
            SELECT FROM ledger.pending WHERE pending.book_id = $1 AND pending.customer = merged.customer
        ) AS wrong
    FROM ledger.customer_state AS merged
    LEFT JOIN ledger.customer_state AS survivor
        ON survivor.book_id = $1 AND survivor.customer = merged.moved_to
    WHERE merged.book_id = $1 AND merged.moved_to IS NOT NULL
) AS checked
