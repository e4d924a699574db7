-- A settled close has the balances of all that has an accounting date in its period or before, and of nothing else, so that what has
-- entered the period after it was closed is what it reckoned.

WITH closed AS (
    SELECT close.ends_on, lead(close.ends_on) OVER (ORDER BY close.ends_on) AS next_ends_on
    FROM ledger.close
    WHERE close.book_id = $1 AND close.version = 1 AND close.state = 3  -- SETTLED
),
counted AS (
    SELECT transfer.debit, transfer.credit, transfer.amount,
        (
            SELECT min(closed.ends_on) FROM closed
            WHERE closed.ends_on >= ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone)
        ) AS ends_on
    FROM ledger.transfer
    JOIN ledger.head ON head.book_id = $1
    WHERE transfer.book_id = $1
),
difference AS (
    SELECT moved.account, moved.ends_on
    FROM (
        SELECT counted.debit AS account, counted.ends_on, -counted.amount AS balance FROM counted
        UNION ALL
        SELECT counted.credit, counted.ends_on, counted.amount FROM counted
        UNION ALL
        SELECT stored.account, stored.ends_on, -stored.balance
        FROM ledger.close_balance AS stored
        WHERE stored.book_id = $1 AND stored.version = 1
        UNION ALL
        SELECT stored.account, closed.next_ends_on, stored.balance
        FROM ledger.close_balance AS stored
        JOIN closed ON closed.ends_on = stored.ends_on
        WHERE stored.book_id = $1 AND stored.version = 1
    ) AS moved
    WHERE moved.ends_on IN (SELECT closed.ends_on FROM closed)
    GROUP BY moved.account, moved.ends_on
    HAVING sum(moved.balance) <> 0
)
SELECT
    (SELECT count(*) FROM closed),
    (SELECT count(*) FROM difference),
    (SELECT array_agg('close ' || difference.ends_on || ', account ' || encode(difference.account, 'hex')) FROM difference)
