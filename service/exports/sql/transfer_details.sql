-- The log in detail, $2 < seq <= $3 of the book $1, in order: transfers with what was reported of their event and of their
-- redemption. $4 the time zone of accounting dates; only transfers with those from $5 to $6, unless NULL. $7 the verbs' names, $8 the
-- campaigns' names by number as JSON; $9 since when each version of what points are worth holds, $10 the versions, $11 points and
-- $12 minor units of each, $13 a currency's decimals. $14 whether free text is for a spreadsheet, which must not take it for a formula.
--
-- Each look-up is by its table's primary key, whatever the planner knows of the tables: LIMIT keeps them from being joined whole.

SELECT
    transfer.seq, coalesce(transfer.transaction_id, transfer.seq) AS transaction_id,
    ledger.rfc3339_v1(transfer.posted_at) AS posted_at,
    ledger.accounting_date_v1(transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $4::text) AS accounting_date,
    ledger.rfc3339_v1(transfer.occurred_at) AS occurred_at,
    ($7::text[])[ledger.transfer_verb_v1(transfer.verb, transfer.due_on)] AS verb,
    ledger.account_name_v1(transfer.debit, $8::text::jsonb) AS debit,
    ledger.account_name_v1(transfer.credit, $8::text::jsonb) AS credit,
    transfer.amount,
    round(transfer.amount::numeric * worth.minor_units / worth.points / 10::numeric ^ $13::integer, 6) AS value,
    worth.version AS point_value_version,
    transfer.customer,
    cell.campaign,
    'grt_' || lpad(to_hex(transfer.campaign_no), 8, '0') || encode(transfer.event_key, 'hex') AS grant_id,
    event.action, event.channel, cell.message_id, event.grade, cell.source, event.principal, event.campaign_version,
    'red_' || lpad(to_hex($1::integer), 8, '0') || lpad(to_hex(redemption.id), 16, '0') AS redemption_id,
    cell.order_ref, cell.store_id, cell.terminal_id,
    ledger.rfc3339_v1(transfer.due_at) AS due_at
FROM ledger.transfer
CROSS JOIN LATERAL (SELECT width_bucket(transfer.posted_at, $9::timestamptz[]) AS number OFFSET 0) AS valued
CROSS JOIN LATERAL (
    SELECT
        ($10::integer[])[valued.number] AS version, ($11::bigint[])[valued.number] AS points,
        ($12::bigint[])[valued.number] AS minor_units
) AS worth
LEFT JOIN LATERAL (
    SELECT
        event.action, event.channel, event.message_id, event.grade::text AS grade, event.source, event.principal,
        event.campaign_version
    FROM ledger.event
    WHERE event.book_id = $1::integer AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    LIMIT 1
) AS event ON true
LEFT JOIN LATERAL (
    SELECT redemption.id, redemption.order_ref, redemption.store_id, redemption.terminal_id
    FROM ledger.redemption
    WHERE redemption.book_id = $1::integer AND redemption.id = CASE 3  -- the tag of a redemption's accounts
        WHEN get_byte(transfer.credit, 0) THEN ledger.account_number_v1(transfer.credit)
        WHEN get_byte(transfer.debit, 0) THEN ledger.account_number_v1(transfer.debit)
    END
    LIMIT 1
) AS redemption ON true
LEFT JOIN LATERAL (
    SELECT step.store_id, step.terminal_id
    FROM ledger.redemption_step AS step
    WHERE redemption.id IS NOT NULL AND step.book_id = $1::integer
        AND step.seq = coalesce(transfer.transaction_id, transfer.seq)
    LIMIT 1
) AS step ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN $14::boolean THEN '^([=+@\t\r\n-])' ELSE '^(?!)' END AS formula
) AS looking
CROSS JOIN LATERAL (
    SELECT
        regexp_replace(
            coalesce($8::text::jsonb ->> transfer.campaign_no::text, transfer.campaign_no::text), looking.formula, '''\1'
        ) AS campaign,
        regexp_replace(event.message_id, looking.formula, '''\1') AS message_id,
        regexp_replace(event.source, looking.formula, '''\1') AS source,
        regexp_replace(redemption.order_ref, looking.formula, '''\1') AS order_ref,
        regexp_replace(coalesce(step.store_id, redemption.store_id), looking.formula, '''\1') AS store_id,
        regexp_replace(coalesce(step.terminal_id, redemption.terminal_id), looking.formula, '''\1') AS terminal_id
) AS cell
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
    AND ($5::date IS NULL OR ledger.accounting_date_v1(
        transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $4::text
    ) BETWEEN $5 AND $6::date)
ORDER BY transfer.seq
