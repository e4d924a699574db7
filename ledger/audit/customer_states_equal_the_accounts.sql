-- A customer's state has the sum and the soonest last day of their lots, and when the first of their open holds and held-back points
-- falls due.

SELECT count(*), count(*) FILTER (WHERE both_sides.differs),
    array_agg('customer ' || both_sides.customer) FILTER (WHERE both_sides.differs)
FROM (
    SELECT coalesce(state.customer, lot.customer, hold.customer) AS customer,
        coalesce(state.points, 0) <> coalesce(lot.points, 0)
            OR coalesce(state.lot_until, 'infinity') <> coalesce(lot.until, 'infinity')
            OR coalesce(state.hold_until, 'infinity') <> coalesce(hold.until, 'infinity') AS differs
    FROM (SELECT * FROM ledger.customer_state WHERE customer_state.book_id = $1) AS state
    FULL JOIN (
        SELECT ('x' || encode(substring(account.id FROM 4 FOR 8), 'hex'))::bit(64)::bigint AS customer,
            sum(account.credits - account.debits) AS points, min(account.expires_on) AS until
        FROM ledger.account
        WHERE account.book_id = $1 AND account.kind = 1 AND account.credits > account.debits
        GROUP BY 1
    ) AS lot ON lot.customer = state.customer
    FULL JOIN (
        SELECT due.customer, min(due.at) AS until
        FROM (
            SELECT redemption.customer, redemption.deadline AS at
            FROM ledger.redemption WHERE redemption.book_id = $1 AND redemption.closed_at IS NULL
            UNION ALL
            SELECT pending.customer, pending.due_at FROM ledger.pending WHERE pending.book_id = $1
        ) AS due
        GROUP BY due.customer
    ) AS hold ON hold.customer = coalesce(state.customer, lot.customer)
) AS both_sides
