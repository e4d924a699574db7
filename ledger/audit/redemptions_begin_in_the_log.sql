-- Each authorization in the log has its redemption, with the same customer and deadline, and there is no other redemption.
--
-- The customer is the one of the authorization, or whom that one was merged into.

SELECT count(*), count(*) FILTER (WHERE pair.wrong), array_agg('redemption ' || pair.id) FILTER (WHERE pair.wrong)
FROM (
    SELECT coalesce(redemption.id, begun.seq) AS id,
        redemption.id IS NULL OR begun.seq IS NULL OR redemption.customer <> begun.customer
            OR redemption.deadline <> begun.due_at AS wrong
    FROM (SELECT * FROM ledger.redemption WHERE redemption.book_id = $1) AS redemption
    FULL JOIN (
        SELECT transfer.seq, coalesce(state.moved_to, transfer.customer) AS customer, transfer.due_at
        FROM ledger.transfer
        LEFT JOIN ledger.customer_state AS state
            ON state.book_id = $1 AND state.customer = transfer.customer
        WHERE transfer.book_id = $1 AND transfer.verb = 6
            AND coalesce(transfer.transaction_id, transfer.seq) = transfer.seq
    ) AS begun ON begun.seq = redemption.id
) AS pair
