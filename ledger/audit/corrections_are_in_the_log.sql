-- What was to be taken back of a grant was taken, in the log, or is still to be taken; and nothing else was.
--
-- A claw-back moved what its own transaction says. What a redemption gave back later belongs to that step's.

SELECT count(*), count(*) FILTER (WHERE checked.wrong), array_agg(checked.what) FILTER (WHERE checked.wrong)
FROM (
    SELECT
        'correction ' || correction.correction_no AS what,
        correction.moved <> coalesce((
            SELECT sum(transfer.amount)
            FROM ledger.transfer
            WHERE transfer.book_id = $1 AND transfer.seq >= correction.seq
                AND transfer.seq < correction.seq + 4000
                AND coalesce(transfer.transaction_id, transfer.seq) = correction.seq
                AND transfer.verb = correction.verb AND transfer.event_key = correction.event_key
        ), 0) AS wrong
    FROM ledger.correction
    WHERE correction.book_id = $1
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
