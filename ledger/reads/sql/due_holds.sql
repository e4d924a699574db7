-- Holds of a book $1 that have timed out by $2 and are not released yet, $6 at most: those after the deadline $4 and the id $5, in
-- this order. Only what was held when the book's last transfer was $3. One row for each account with points: where they are, where
-- their release puts them, and how many.

SELECT
    hold.deadline, hold.id, held.id AS debit,
    ledger.account_id_v2(
        ledger.customer_owner_v1(hold.customer), 'lot', ledger.account_class_v1(held.id),
        CASE WHEN held.expires_on >= hold.day THEN held.expires_on ELSE hold.day + hold.grace_days END
    ) AS credit,
    (held.credits - held.debits)::bigint AS amount
FROM (
    SELECT
        redemption.id, redemption.customer, redemption.deadline, head.grace_days,
        (redemption.deadline AT TIME ZONE head.time_zone)::date AS day
    FROM ledger.head
    JOIN ledger.redemption ON redemption.book_id = $1
    WHERE head.book_id = $1
        AND redemption.closed_at IS NULL AND redemption.deadline <= $2 AND redemption.id <= $3
        AND redemption.deadline >= $4 AND (redemption.deadline, redemption.id) > ($4, $5)
    ORDER BY redemption.deadline, redemption.id
    LIMIT $6
) AS hold
CROSS JOIN LATERAL (
    SELECT account.id, account.expires_on, account.credits, account.debits
    FROM ledger.account
    WHERE account.book_id = $1
        AND account.id >= ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'held')
        AND account.id < ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'spent')
        AND account.credits > account.debits
    OFFSET 0
) AS held
ORDER BY hold.deadline, hold.id
