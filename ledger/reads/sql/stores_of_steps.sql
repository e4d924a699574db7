-- The store and terminal of steps of redemptions $2 of a book $1, which begin with the transfers $3, side by side and in order: what was
-- said of the step, or else of the redemption.

SELECT
    coalesce(step.store_id, redemption.store_id) AS store_id, coalesce(step.terminal_id, redemption.terminal_id) AS terminal_id
FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS wanted (redemption, seq, place)
LEFT JOIN LATERAL (
    SELECT redemption.store_id, redemption.terminal_id
    FROM ledger.redemption
    WHERE redemption.book_id = $1 AND redemption.id BETWEEN wanted.redemption AND wanted.redemption
    ORDER BY redemption.id
    OFFSET 0
) AS redemption ON true
LEFT JOIN LATERAL (
    SELECT step.store_id, step.terminal_id
    FROM ledger.redemption_step AS step
    WHERE step.book_id = $1 AND step.seq BETWEEN wanted.seq AND wanted.seq
    ORDER BY step.seq
    OFFSET 0
) AS step ON true
ORDER BY wanted.place
