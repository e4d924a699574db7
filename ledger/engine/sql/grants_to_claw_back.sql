-- How grants stand that somebody wants to take back: book $1 of brand $2, campaigns $3, keys $4. Each with its place in these, from 1;
-- asked is what claw-backs have asked for before, and owed what of that is still to be taken once it
-- returns; paid are points for which money was withheld when the purchase was returned: they are the customer's.
--
-- layer and lot are of grants of which nothing can have moved, so that all of it is in the lot: since it was granted no transfer
-- took from a lot of the one who got it, as an expiry or a merge would too, but claw-backs of their other grants, which take the points
-- of these alone. Of all others they are NULL. Locks nothing.
-- Whatever the planner knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.

SELECT
    wanted.place, head.seq AS seen, event.customer, standing.outcome, event.points, before.asked, shortfall.owed, returned.paid, whole.layer, whole.lot
FROM unnest($3::integer[], $4::bytea[]) WITH ORDINALITY AS wanted (campaign_no, key, place)
CROSS JOIN LATERAL (
    SELECT
        head.seq, greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at, head.time_zone
    FROM ledger.head
    WHERE head.book_id = $1 AND head.brand_id = $2
    OFFSET 0
) AS head
CROSS JOIN LATERAL (
    SELECT event.customer, event.outcome, event.points, event.seq, event.due_at
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = wanted.campaign_no AND event.key = wanted.key
    OFFSET 0
) AS event
CROSS JOIN LATERAL (SELECT ledger.outcome_at_v1(event.outcome, event.due_at, head.at) AS outcome) AS standing
CROSS JOIN LATERAL (
    SELECT coalesce(sum(correction.asked), 0)::bigint AS asked
    FROM ledger.correction
    WHERE correction.book_id = $1 AND correction.campaign_no = wanted.campaign_no AND correction.event_key = wanted.key
) AS before
CROSS JOIN LATERAL (
    SELECT coalesce(sum(shortfall.points), 0)::bigint AS owed
    FROM ledger.shortfall
    WHERE before.asked > 0 AND shortfall.book_id = $1 AND shortfall.campaign_no = wanted.campaign_no
        AND shortfall.event_key = wanted.key
) AS shortfall
CROSS JOIN LATERAL (
    SELECT coalesce(sum(purchase_return.withheld_points), 0)::bigint AS paid
    FROM ledger.purchase_return
    WHERE purchase_return.book_id = $1 AND purchase_return.campaign_no = wanted.campaign_no
        AND purchase_return.event_key = wanted.key
) AS returned
LEFT JOIN LATERAL (
    SELECT issue.seq AS layer, issue.credit AS lot
    FROM ledger.transfer AS issue
    WHERE issue.book_id = $1 AND issue.seq = event.seq AND issue.event_key = wanted.key AND issue.verb = ledger.verb_v1('grant')
        AND ledger.account_expires_on_v1(issue.credit) >= (head.at AT TIME ZONE head.time_zone)::date
        AND NOT EXISTS (
            SELECT FROM ledger.transfer AS later
            WHERE later.book_id = $1 AND later.customer = issue.customer AND later.seq > issue.seq
                AND substring(later.debit FROM 1 FOR 11) = substring(issue.credit FROM 1 FOR 11)
                AND (later.verb <> ledger.verb_v1('clawback') OR later.event_key = wanted.key)
        )
    OFFSET 0
) AS whole ON event.outcome = ledger.grant_outcome_v1('granted')
ORDER BY wanted.place
