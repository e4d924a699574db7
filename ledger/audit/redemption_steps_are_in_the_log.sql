-- The details of a capture or refund belong to a capture or refund of that redemption.

SELECT count(*), count(*) FILTER (WHERE posted.seq IS NULL),
    array_agg('seq ' || step.seq) FILTER (WHERE posted.seq IS NULL)
FROM ledger.redemption_step AS step
LEFT JOIN ledger.transfer AS posted
    ON posted.book_id = $1 AND posted.seq = step.seq
    AND coalesce(posted.transaction_id, posted.seq) = step.seq
    AND posted.verb IN (7, 9)
    AND ledger.account_owner_v1(3, step.redemption)
        IN (substring(posted.debit FROM 1 FOR 11), substring(posted.credit FROM 1 FOR 11))
WHERE step.book_id = $1
