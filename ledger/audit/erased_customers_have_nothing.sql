-- An erased customer is frozen and has no points, holds or points held back, and so have all who were merged into them.

SELECT count(*), count(*) FILTER (WHERE checked.wrong),
    array_agg('customer ' || checked.customer) FILTER (WHERE checked.wrong)
FROM (
    SELECT erased.customer, NOT erased.frozen OR erased.points <> 0
        OR EXISTS (
            SELECT FROM ledger.redemption
            WHERE redemption.book_id = $1 AND redemption.customer = erased.customer AND redemption.closed_at IS NULL
        )
        OR EXISTS (
            SELECT FROM ledger.pending WHERE pending.book_id = $1 AND pending.customer = erased.customer
        )
        OR EXISTS (
            SELECT FROM ledger.customer_state AS merged
            WHERE merged.book_id = $1 AND merged.moved_to = erased.customer AND NOT merged.erased
        ) AS wrong
    FROM ledger.customer_state AS erased
    WHERE erased.book_id = $1 AND erased.erased
) AS checked
