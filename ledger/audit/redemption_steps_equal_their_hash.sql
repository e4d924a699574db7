-- The details of each capture and refund are those that the log has committed to, and none are missing.
--
-- A page of them. A capture that was part of its authorization has that one's details. A hash that no step explains has an
-- empty salt.

SELECT
    transfer.seq, transfer.details_hash, CASE WHEN step.seq IS NULL THEN '\x' ELSE step.salt END, step.personal_hash, step.ref,
    step.store_id, step.terminal_id
FROM ledger.transfer
LEFT JOIN ledger.redemption_step AS step
    ON step.book_id = $1 AND step.seq = coalesce(transfer.transaction_id, transfer.seq)
WHERE transfer.book_id = $1 AND transfer.verb IN (7, 9) AND transfer.seq > $2
    AND (transfer.details_hash IS NOT NULL OR step.seq IS NOT NULL)
    AND NOT EXISTS (
        SELECT FROM ledger.redemption
        WHERE redemption.book_id = $1 AND redemption.id = coalesce(transfer.transaction_id, transfer.seq)
    )
ORDER BY transfer.seq
LIMIT $3
