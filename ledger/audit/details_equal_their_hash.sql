-- The details of each grant are those that the log has committed to.
--
-- A page of them, after the transfer $2: what is not personal, then what is. Erased details have no salt.

SELECT
    transfer.seq, transfer.details_hash, event.salt, event.personal_hash, event.action, event.channel, event.grade::text, event.source,
    event.principal, event.campaign_version, event.rule, event.message_id, coalesce(event.qualifier, ''), event.metadata
FROM ledger.transfer
JOIN ledger.event
    ON event.book_id = $1 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
WHERE transfer.book_id = $1 AND transfer.verb IN (2, 3) AND transfer.seq > $2
ORDER BY transfer.seq
LIMIT $3
