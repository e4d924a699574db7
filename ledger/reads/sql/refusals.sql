-- Refusals of campaign $3 of a book $1 of brand $2 with one of the outcomes $6, in the order of their places, $4 < place <= $5.
-- $7 at most.

SELECT
    event.place, event.customer, event.grade::text AS grade, event.window_at, event.campaign_version, event.rule,
    event.principal, event.action, event.channel, event.message_id,
    coalesce(event.qualifier, '') AS qualifier, event.source, event.metadata
FROM ledger.event
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE event.book_id = $1 AND event.place > $4 AND event.place <= $5
    AND event.campaign_no = $3 AND event.outcome = ANY($6::smallint[])
ORDER BY event.place
LIMIT $7
