-- The events of the book $1 that wait or were refused, $2 < place <= $3, by place. $4 the business date, $5 the campaigns' names
-- by number as JSON, $6 the time zone of weekdays and hours, $7 the outcomes' names by number.

SELECT
    $4::date AS business_date,
    'grt_' || lpad(to_hex(event.campaign_no), 8, '0') || encode(event.key, 'hex') AS grant_id,
    NULL::bigint AS seq, event.campaign_no,
    coalesce($5::text::jsonb ->> event.campaign_no::text, event.campaign_no::text) AS campaign,
    event.campaign_version, event.customer, ($7::text[])[event.outcome] AS outcome,
    0 AS points, ledger.rfc3339_v1(event.decided_at) AS decided_at, ledger.rfc3339_v1(event.window_at) AS occurred_at,
    event.grade::text AS grade, event.action, event.channel, event.message_id, event.qualifier, event.source, event.principal,
    extract(isodow FROM event.window_at AT TIME ZONE $6::text)::integer AS occurred_weekday,
    extract(hour FROM event.window_at AT TIME ZONE $6::text)::integer AS occurred_hour
FROM ledger.event
WHERE event.book_id = $1::integer AND event.place > $2::bigint AND event.place <= $3::bigint
ORDER BY event.place
