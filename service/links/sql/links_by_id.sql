-- Links by their ids ($1), with what is revoked of them, where they lead, and who their customers are now. Whatever the planner
-- knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.
SELECT
    found.link_id, found.brand_id, found.campaign_no, found.campaign_version, found.customer, found.message_id, found.action,
    found.channel, found.label, found.destination_no, found.sent_at, found.minted_at, found.expires_at,
    coalesce(found.revoked_at, revocation.revoked_at), leads_to.url,
    person.confirmed, person.verified, person.refused, found.kind, found.mode
FROM unnest($1::bytea[]) AS wanted (link_id)
CROSS JOIN LATERAL (SELECT * FROM rewards.link WHERE link.link_id = wanted.link_id OFFSET 0) AS found
LEFT JOIN LATERAL (
    SELECT destination.url FROM rewards.destination WHERE destination.destination_no = found.destination_no OFFSET 0
) AS leads_to ON true
LEFT JOIN LATERAL (
    SELECT min(link_revocation.revoked_at) AS revoked_at
    FROM rewards.link_revocation
    WHERE link_revocation.brand_id = found.brand_id AND link_revocation.subject = ANY (ARRAY[
        'link ' || encode(found.link_id, 'hex'), 'message ' || found.message_id, 'campaign ' || found.campaign_no,
        'key ' || found.minted_by
    ])
) AS revocation ON true
LEFT JOIN LATERAL (
    SELECT customer.confirmed, customer.verified, customer.refused::text AS refused
    FROM rewards.customer
    WHERE customer.customer = found.customer AND customer.merged_into IS NULL AND customer.absorbed = 0
        AND customer.generation = 0
    OFFSET 0
) AS person ON true
