-- What is held back for a customer adds up to the balance of their pending accounts.

SELECT count(*), count(*) FILTER (WHERE both_sides.differs),
    array_agg('customer ' || both_sides.customer) FILTER (WHERE both_sides.differs)
FROM (
    SELECT coalesce(held_back.customer, account.customer) AS customer,
        coalesce(held_back.amount, 0) <> coalesce(account.balance, 0) AS differs
    FROM (
        SELECT pending.customer, sum(pending.amount) AS amount
        FROM ledger.pending WHERE pending.book_id = $1 GROUP BY pending.customer
    ) AS held_back
    FULL JOIN (
        SELECT ('x' || encode(substring(account.id FROM 4 FOR 8), 'hex'))::bit(64)::bigint AS customer,
            sum(account.credits - account.debits) AS balance
        FROM ledger.account WHERE account.book_id = $1 AND account.kind = 2 GROUP BY 1
    ) AS account ON account.customer = held_back.customer
) AS both_sides
