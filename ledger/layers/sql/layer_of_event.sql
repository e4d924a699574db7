-- The layer that an event's points are: the transfer that granted them, or by which they matured, to the event's customer or whomever
-- they were merged into. No row if there is none.
-- $1 book, $2 campaign, $3 key. Locks nothing.

SELECT issue.seq
FROM ledger.event
CROSS JOIN LATERAL (
    SELECT event.customer
    UNION
    SELECT spell.survivor FROM ledger.spell WHERE spell.book_id = $1 AND spell.customer = event.customer
) AS member
CROSS JOIN LATERAL (
    SELECT transfer.seq
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.customer = member.customer AND transfer.seq >= event.seq
        AND transfer.event_key = $3 AND transfer.campaign_no = $2
        AND transfer.verb IN (ledger.verb_v1('grant'), ledger.verb_v1('mature'))
    ORDER BY transfer.seq
    LIMIT 1
) AS issue
WHERE event.book_id = $1 AND event.campaign_no = $2 AND event.key = $3
    AND event.outcome = ledger.grant_outcome_v1('granted')
LIMIT 1
