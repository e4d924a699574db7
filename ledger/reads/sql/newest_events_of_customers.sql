-- The newest events of customers $10 of a book $1 of brand $2: see newest_events.

WITH clock AS (
    SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at
    FROM ledger.head
    WHERE head.book_id = $1 AND head.brand_id = $2
), found AS (
    SELECT newest.seq, NULL::bigint AS place, newest.campaign_no, newest.key
    FROM unnest($10::bigint[]) AS wanted (customer)
    CROSS JOIN LATERAL (
        SELECT transfer.seq, transfer.campaign_no, transfer.event_key AS key
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq < $3 AND transfer.seq >= $5
            AND ($8::integer IS NULL OR transfer.campaign_no = $8)
            -- No transfer stands for any other outcome, so the log is not read for one.
            AND ($9::smallint[] IS NULL OR $9::smallint[] && '{1, 6, 7}')  -- GRANTED, HELD_BACK, REJECTED
            AND (
                (transfer.verb = 2 AND ($9::smallint[] IS NULL OR 1 = ANY($9::smallint[])))  -- GRANT
                -- HOLD_BACK: what was held back may be granted or rejected by now.
                OR (transfer.verb = 3 AND ($9::smallint[] IS NULL OR (
                    SELECT ledger.outcome_at_v1(event.outcome, event.due_at, (SELECT clock.at FROM clock))
                    FROM ledger.event
                    WHERE event.book_id = $1 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
                ) = ANY($9::smallint[])))
            )
        ORDER BY transfer.seq DESC
        LIMIT $7
    ) AS newest
    UNION ALL
    SELECT newest.seq, newest.place, newest.campaign_no, newest.key
    FROM unnest($10::bigint[]) AS wanted (customer)
    CROSS JOIN LATERAL (
        SELECT event.seq, event.place, event.campaign_no, event.key
        FROM ledger.event
        WHERE event.book_id = $1 AND event.customer = wanted.customer AND event.place < $4 AND event.place >= $6
            AND ($8::integer IS NULL OR event.campaign_no = $8)
            AND ($9::smallint[] IS NULL OR event.outcome = ANY($9::smallint[]))
        ORDER BY event.place DESC
        LIMIT $7
    ) AS newest
)
SELECT found.place, event.*
FROM found
CROSS JOIN clock
CROSS JOIN LATERAL (
    SELECT
        event.campaign_no, event.key, event.customer, standing.outcome,
        CASE WHEN standing.outcome = event.outcome THEN event.points ELSE 0 END AS points, event.seq, event.grade::text AS grade,
        event.window_at,
        -- What moved points was decided when the transfer of its seq was posted.
        coalesce(event.decided_at, (
            SELECT transfer.posted_at FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq = event.seq
        )) AS decided_at,
        event.due_at, event.campaign_version, event.action, event.channel, event.message_id,
        coalesce(event.qualifier, '') AS qualifier, event.source, event.metadata, event.principal
    FROM ledger.event
    CROSS JOIN LATERAL (SELECT ledger.outcome_at_v1(event.outcome, event.due_at, clock.at) AS outcome) AS standing
    WHERE event.book_id = $1 AND event.campaign_no = found.campaign_no AND event.key = found.key
    LIMIT 1
) AS event
ORDER BY found.seq DESC, found.place DESC NULLS LAST
LIMIT $7
