-- The rows of transfers.csv, $2 < seq <= $3 of the book $1: $4 the verbs' names, $5 the campaigns' names by number as JSON, $6
-- the same for a spreadsheet's cell, $7 the time zone of both dates.
--
-- An account's name begins with its kind, so it is never a formula.

SELECT
    transfer.seq, ledger.rfc3339_v1(transfer.posted_at), ledger.rfc3339_v1(transfer.occurred_at),
    ($4::text[])[ledger.transfer_verb_v1(transfer.verb, transfer.due_on)],
    ledger.account_name_v1(transfer.debit, $5::text::jsonb), ledger.account_name_v1(transfer.credit, $5::text::jsonb),
    transfer.amount, transfer.customer, coalesce($6::text::jsonb ->> transfer.campaign_no::text, transfer.campaign_no::text),
    encode(transfer.event_key, 'hex'), coalesce(transfer.transaction_id, transfer.seq), ledger.rfc3339_v1(transfer.due_at),
    (transfer.posted_at AT TIME ZONE $7::text)::date,
    ledger.accounting_date_v1(transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $7::text)
FROM ledger.transfer
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
ORDER BY transfer.seq
