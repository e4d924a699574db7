-- Events of a book $1 of brand $2, of campaign $3, under keys $6 of other customers $5, that were decided while each was one
-- with customer $4, or with a customer who is part of $4 now.

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
FROM ledger.head
CROSS JOIN unnest($5::bigint[], $6::bytea[]) AS wanted (other, key)
CROSS JOIN LATERAL (
    SELECT * FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = $3 AND event.key = wanted.key
    OFFSET 0
) AS event
CROSS JOIN LATERAL (
    SELECT ledger.outcome_at_v1(
        event.outcome, event.due_at, greatest(head.posted_at, clock_timestamp() + head.clock_offset)
    ) AS outcome
    OFFSET 0
) AS standing
WHERE head.book_id = $1 AND head.brand_id = $2
    AND ledger.were_one_v1($1, $4, wanted.other, event.seq, event.place)
