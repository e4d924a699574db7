-- The control totals of the rows of transfer_details.sql: $2 < seq <= $3 of the book $1; with accounting dates in the time zone $4
-- from $5 to $6, unless NULL.

SELECT
    count(*) AS rows, coalesce(sum(transfer.amount), 0)::bigint AS debits, coalesce(sum(transfer.amount), 0)::bigint AS credits
FROM ledger.transfer
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
    AND ($5::date IS NULL OR ledger.accounting_date_v1(
        transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $4::text
    ) BETWEEN $5 AND $6::date)
