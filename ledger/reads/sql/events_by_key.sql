-- Events of a book $1 of brand $2 by their campaigns $3 and keys $4, each with its place in these, from 1. Whatever the planner
-- knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.

SELECT
    wanted.place,
    event.campaign_no, event.key, event.customer, event.outcome, event.points, event.seq, event.grade::text AS grade,
    event.window_at,
    -- What moved points was decided when the transfer of its seq was posted.
    coalesce(event.decided_at, (
        SELECT transfer.posted_at FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq = event.seq
    )) AS decided_at,
    event.due_at, event.campaign_version, event.action, event.channel, event.message_id,
    coalesce(event.qualifier, '') AS qualifier, event.source, event.metadata
FROM ledger.head
CROSS JOIN unnest($3::integer[], $4::bytea[]) WITH ORDINALITY AS wanted (campaign_no, key, place)
CROSS JOIN LATERAL (
    SELECT * FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = wanted.campaign_no AND event.key = wanted.key
    OFFSET 0
) AS event
WHERE head.book_id = $1 AND head.brand_id = $2
