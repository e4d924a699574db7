-- What customers $2 of a book $1 were reported on, by channel and message, from the seq $3 and the place $4 on, with each one's
-- place in $2. At most $5 transfers of each customer are read and as many decisions, newest first; rows_read says how many.
--
-- Each customer's rows are read by index, and each event is looked up by its key: LIMIT keeps the planner to it.

SELECT
    wanted.n, act.channel, act.message_id,
    max(act.at) FILTER (WHERE act.reported) AS reported_at,
    count(*) FILTER (WHERE act.earned) AS rewards,
    coalesce(sum(act.points) FILTER (WHERE act.earned), 0)::bigint AS points,
    max(act.at) FILTER (WHERE act.earned) AS rewarded_at,
    max(act.rows_read) AS rows_read
FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (customer, n)
CROSS JOIN LATERAL (
    SELECT
        event.channel, event.message_id, moved.posted_at AS at, moved.verb IN (2, 3) AS reported,  -- GRANT, HOLD_BACK
        moved.verb IN (2, 4) AS earned,  -- GRANT, MATURE
        moved.amount AS points, moved.rows_read
    FROM (
        SELECT newest.*, count(*) OVER () AS rows_read
        FROM (
            SELECT transfer.posted_at, transfer.verb, transfer.amount, transfer.campaign_no, transfer.event_key
            FROM ledger.transfer
            WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq >= $3
            ORDER BY transfer.seq DESC
            LIMIT $5
        ) AS newest
    ) AS moved
    LEFT JOIN LATERAL (
        SELECT event.channel, event.message_id
        FROM ledger.event
        WHERE event.book_id = $1 AND event.campaign_no = moved.campaign_no AND event.key = moved.event_key
            AND moved.verb IN (2, 3, 4)
        LIMIT 1
    ) AS event ON true
    UNION ALL
    SELECT decided.channel, decided.message_id, decided.decided_at, true, false, 0, count(*) OVER ()
    FROM (
        SELECT event.channel, event.message_id, event.decided_at
        FROM ledger.event
        WHERE event.book_id = $1 AND event.customer = wanted.customer AND event.place >= $4
        ORDER BY event.place DESC
        LIMIT $5
    ) AS decided
) AS act
GROUP BY wanted.n, act.channel, act.message_id
