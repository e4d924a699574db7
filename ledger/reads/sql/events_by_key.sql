-- Events by the books $1, brands $2, campaigns $3 and keys $4 of each, with its place in these, from 1. Whatever the planner knew
-- of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.

SELECT
    wanted.place,
    event.campaign_no, event.key, event.customer, standing.outcome,
    CASE WHEN standing.outcome = event.outcome THEN event.points ELSE 0 END AS points, event.seq, event.grade::text AS grade,
    event.window_at,
    -- What moved points was decided when the transfer of its seq was posted.
    coalesce(event.decided_at, (
        SELECT transfer.posted_at FROM ledger.transfer WHERE transfer.book_id = event.book_id AND transfer.seq = event.seq
    )) AS decided_at,
    event.due_at, event.campaign_version, event.action, event.channel, event.message_id,
    coalesce(event.qualifier, '') AS qualifier, event.source, event.metadata, event.principal
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bytea[]) WITH ORDINALITY
    AS wanted (book_id, brand_id, campaign_no, key, place)
CROSS JOIN LATERAL (
    SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at
    FROM ledger.head
    WHERE head.book_id = wanted.book_id AND head.brand_id = wanted.brand_id
    OFFSET 0
) AS head
CROSS JOIN LATERAL (
    SELECT * FROM ledger.event
    WHERE event.book_id = wanted.book_id AND event.campaign_no = wanted.campaign_no AND event.key = wanted.key
    OFFSET 0
) AS event
CROSS JOIN LATERAL (SELECT ledger.outcome_at_v1(event.outcome, event.due_at, head.at) AS outcome) AS standing
