-- Notes of messages $2 to customers $3 of brand $1 when each was delivered ($4), opened ($5), clicked ($6), or known never to arrive
-- ($7), as far as it is told and earlier than what is noted. Returns the offers of those that changed.
UPDATE rewards.offer_message AS made
SET delivered_at = least(made.delivered_at, told.delivered_at), opened_at = least(made.opened_at, told.opened_at),
    clicked_at = least(made.clicked_at, told.clicked_at), failed_at = least(made.failed_at, told.failed_at)
FROM unnest($2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
    AS told (message_id, customer, delivered_at, opened_at, clicked_at, failed_at)
WHERE made.brand_id = $1 AND made.message_id = told.message_id AND made.customer = told.customer
    AND (
        told.delivered_at < coalesce(made.delivered_at, 'infinity') OR told.opened_at < coalesce(made.opened_at, 'infinity')
        OR told.clicked_at < coalesce(made.clicked_at, 'infinity') OR told.failed_at < coalesce(made.failed_at, 'infinity')
    )
RETURNING made.offer_group, made.customer
