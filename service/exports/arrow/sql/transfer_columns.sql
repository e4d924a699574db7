-- The log as columns, $2 < seq <= $3 of the book $1, one row: the values of each column in the order of seq, one after the other
-- as the driver's protocol writes them, where -1, 16 zeros or infinity stands for none.
--
-- It takes a fifth of writing them as text. On which day a transfer was posted is not asked: that takes as long as all the rest.

SELECT
    count(*) AS rows, coalesce(sum(line.amount), 0)::bigint AS moved,
    string_agg(int8send(line.seq), '') AS seq,
    string_agg(timestamptz_send(line.posted_at), '') AS posted_at,
    string_agg(timestamptz_send(line.occurred_at), '') AS occurred_at,
    string_agg(int2send(ledger.transfer_verb_v1(line.verb, line.due_on)), '') AS verb,
    string_agg(line.debit, '') AS debit,
    string_agg(line.credit, '') AS credit,
    string_agg(int8send(line.amount), '') AS amount,
    string_agg(int8send(coalesce(line.customer, -1)), '') AS customer,
    string_agg(int4send(coalesce(line.campaign_no, -1)), '') AS campaign,
    string_agg(coalesce(line.event_key, '\x00000000000000000000000000000000'), '') AS event_key,
    string_agg(int8send(coalesce(line.transaction_id, line.seq)), '') AS transaction_id,
    string_agg(timestamptz_send(coalesce(line.due_at, 'infinity')), '') AS due_at,
    string_agg(date_send(coalesce(ledger.fell_due_on_v1(line.due_on, line.verb, line.debit), 'infinity')), '') AS fell_due_on
FROM (
    SELECT
        transfer.seq, transfer.posted_at, transfer.occurred_at, transfer.verb, transfer.due_on, transfer.debit, transfer.credit,
        transfer.amount, transfer.customer, transfer.campaign_no, transfer.event_key, transfer.transaction_id, transfer.due_at
    FROM ledger.transfer
    WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
    ORDER BY transfer.seq
) AS line
