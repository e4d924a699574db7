-- A settled close has the balances of all that has an accounting date in its period or before, and of nothing else, so that what has
-- entered the period after it was closed is what it reckoned.

WITH closed AS (
    SELECT close.ends_on, lead(close.ends_on) OVER (ORDER BY close.ends_on) AS next_ends_on
    FROM ledger.close
    WHERE close.book_id = $1 AND close.version = 1 AND close.state = 3  -- SETTLED
),
posted AS (
    SELECT
        transfer.debit, transfer.credit,
        ledger.accounting_date_v1(transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone) AS day,
        sum(transfer.amount) AS points
    FROM ledger.transfer
    JOIN ledger.head ON head.book_id = $1
    WHERE transfer.book_id = $1 AND EXISTS (SELECT FROM closed)
    GROUP BY transfer.debit, transfer.credit, day
),
period AS (
    SELECT days.day, (SELECT min(closed.ends_on) FROM closed WHERE closed.ends_on >= days.day) AS ends_on
    FROM (SELECT DISTINCT posted.day FROM posted) AS days
),
moved AS (
    SELECT posted.debit AS account, period.ends_on, -posted.points AS balance
    FROM posted
    JOIN period ON period.day = posted.day
    UNION ALL
    SELECT posted.credit, period.ends_on, posted.points
    FROM posted
    JOIN period ON period.day = posted.day
    UNION ALL
    SELECT stored.account, closed.ends_on, -stored.balance
    FROM closed
    JOIN ledger.close_balance AS stored ON stored.book_id = $1 AND stored.ends_on = closed.ends_on AND stored.version = 1
    UNION ALL
    -- What a close has is what the next one begins with.
    SELECT stored.account, closed.next_ends_on, stored.balance
    FROM closed
    JOIN ledger.close_balance AS stored ON stored.book_id = $1 AND stored.ends_on = closed.ends_on AND stored.version = 1
),
difference AS (
    SELECT moved.account, moved.ends_on
    FROM moved
    WHERE moved.ends_on IS NOT NULL
    GROUP BY moved.account, moved.ends_on
    HAVING sum(moved.balance) <> 0
)
SELECT
    (SELECT count(*) FROM closed),
    (SELECT count(*) FROM difference),
    (SELECT array_agg('close ' || difference.ends_on || ', account ' || encode(difference.account, 'hex')) FROM difference)
