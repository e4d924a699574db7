-- What was to be corrected is in the log, or is still to be taken back of its grant; and nothing else was corrected.
--
-- A correction moved what its own transaction says, and so many points that are adjusted have a correction. What a redemption gave back later belongs to that step's.

SELECT count(*), count(*) FILTER (WHERE checked.wrong), array_agg(checked.what) FILTER (WHERE checked.wrong)
FROM (
    SELECT
        'correction ' || correction.correction_no AS what,
        correction.moved <> coalesce(posted.points, 0) AS wrong
    FROM ledger.correction
    LEFT JOIN (
        SELECT
            coalesce(transfer.transaction_id, transfer.seq) AS seq, transfer.verb, transfer.event_key, sum(transfer.amount) AS points
        FROM ledger.transfer
        WHERE transfer.book_id = $1
            AND transfer.verb = ANY (ARRAY(SELECT DISTINCT made.verb FROM ledger.correction AS made WHERE made.book_id = $1))
        GROUP BY coalesce(transfer.transaction_id, transfer.seq), transfer.verb, transfer.event_key
    ) AS posted
        ON posted.seq = correction.seq AND posted.verb = correction.verb
        AND posted.event_key IS NOT DISTINCT FROM correction.event_key
    WHERE correction.book_id = $1
    UNION ALL
    SELECT 'seq ' || transfer.seq, NOT EXISTS (
        SELECT FROM ledger.correction
        WHERE correction.book_id = $1 AND correction.seq = coalesce(transfer.transaction_id, transfer.seq)
            AND correction.verb = 12 AND correction.customer = transfer.customer
            AND correction.is_credit = (get_byte(transfer.debit, 0) <> 1)
    )
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.verb = 12
    UNION ALL
    SELECT
        'grant ' || encode(grants.event_key, 'hex'),
        sum(grants.asked) <> sum(grants.done)
    FROM (
        SELECT correction.campaign_no, correction.event_key, correction.asked, 0 AS done
        FROM ledger.correction WHERE correction.book_id = $1 AND correction.verb = 11
        UNION ALL
        SELECT transfer.campaign_no, transfer.event_key, 0, transfer.amount
        FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.verb = 11
        UNION ALL
        SELECT shortfall.campaign_no, shortfall.event_key, 0, shortfall.points
        FROM ledger.shortfall WHERE shortfall.book_id = $1
    ) AS grants
    GROUP BY grants.campaign_no, grants.event_key
) AS checked
