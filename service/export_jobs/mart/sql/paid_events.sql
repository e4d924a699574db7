-- The events that were paid or held back by transfers $2 < seq <= $3 of the book $1, by seq, as they were decided then; with
-- accounting dates from $5 to $6, unless NULL. $4 the time zone of these and of weekdays and hours, $7 the business date, $8 the
-- campaigns' names by number as JSON.

SELECT
    $7::date AS business_date,
    'grt_' || lpad(to_hex(transfer.campaign_no), 8, '0') || encode(transfer.event_key, 'hex') AS grant_id,
    transfer.seq, transfer.campaign_no,
    coalesce($8::text::jsonb ->> transfer.campaign_no::text, transfer.campaign_no::text) AS campaign,
    event.campaign_version, event.customer,
    CASE transfer.verb WHEN ledger.verb_v1('grant') THEN 'granted' ELSE 'held_back' END AS outcome,
    transfer.amount AS points, ledger.rfc3339_v1(transfer.posted_at) AS decided_at,
    ledger.rfc3339_v1(event.window_at) AS occurred_at,
    event.grade, event.action, event.channel, event.message_id, event.qualifier, event.source, event.principal,
    extract(isodow FROM event.window_at AT TIME ZONE $4::text)::integer AS occurred_weekday,
    extract(hour FROM event.window_at AT TIME ZONE $4::text)::integer AS occurred_hour
FROM ledger.transfer
CROSS JOIN LATERAL (
    SELECT
        event.campaign_version, event.customer, event.window_at, event.grade::text AS grade, event.action, event.channel,
        event.message_id, event.qualifier, event.source, event.principal
    FROM ledger.event
    WHERE event.book_id = $1::integer AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    LIMIT 1
) AS event
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
    AND transfer.verb IN (ledger.verb_v1('grant'), ledger.verb_v1('hold_back'))
    AND ($5::date IS NULL OR ledger.accounting_date_v1(
        transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $4::text
    ) BETWEEN $5 AND $6::date)
ORDER BY transfer.seq
