-- Why something was corrected is what the log has committed to.
--
-- A page of them, after the transfer $2. A hash that no correction explains has an empty salt.

SELECT
    transfer.seq, transfer.details_hash, CASE WHEN correction.seq IS NULL THEN '\x' ELSE correction.salt END,
    correction.personal_hash, correction.reason, correction.reference, correction.note
FROM ledger.transfer
LEFT JOIN ledger.correction
    ON correction.book_id = $1 AND correction.seq = coalesce(transfer.transaction_id, transfer.seq)
WHERE transfer.book_id = $1 AND transfer.verb IN (11, 12) AND transfer.seq > $2
    AND (transfer.details_hash IS NOT NULL OR correction.seq IS NOT NULL)
ORDER BY transfer.seq
LIMIT $3
