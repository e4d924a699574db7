-- The details of each authorization are those that the log has committed to.
--
-- A page of them: order, value, store and terminal.

SELECT
    transfer.seq, transfer.details_hash, redemption.salt, redemption.personal_hash, redemption.order_ref, redemption.value,
    redemption.store_id, redemption.terminal_id
FROM ledger.transfer
JOIN ledger.redemption
    ON redemption.book_id = $1 AND redemption.id = coalesce(transfer.transaction_id, transfer.seq)
WHERE transfer.book_id = $1 AND transfer.verb = 6 AND transfer.seq > $2
ORDER BY transfer.seq
LIMIT $3
