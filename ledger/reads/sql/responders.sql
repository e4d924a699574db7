-- Whose acts a book $1 has from the seq $2 and the place $3 on, in the newest $4 grants and as many decisions: acted, and of
-- these who proved to be a person. Also how many of each were read.

SELECT
    coalesce(array_agg(DISTINCT act.customer), '{}') AS acted,
    coalesce(array_agg(DISTINCT act.customer) FILTER (WHERE act.grade IN ('A', 'B')), '{}') AS proved,
    count(*) FILTER (WHERE act.moved) AS moved, count(*) FILTER (WHERE NOT act.moved) AS decided
FROM (
    SELECT event.customer, event.grade, true AS moved
    FROM (
        SELECT transfer.campaign_no, transfer.event_key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.seq >= $2 AND transfer.verb IN (2, 3)  -- GRANT, HOLD_BACK
        ORDER BY transfer.seq DESC
        LIMIT $4
    ) AS newest
    CROSS JOIN LATERAL (
        SELECT event.customer, event.grade
        FROM ledger.event
        WHERE event.book_id = $1 AND event.campaign_no = newest.campaign_no AND event.key = newest.event_key
        LIMIT 1
    ) AS event
    UNION ALL
    SELECT decided.customer, decided.grade, false
    FROM (
        SELECT event.customer, event.grade
        FROM ledger.event
        WHERE event.book_id = $1 AND event.place >= $3
        ORDER BY event.place DESC
        LIMIT $4
    ) AS decided
) AS act
