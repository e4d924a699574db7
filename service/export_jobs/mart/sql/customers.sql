-- The customers of the book $1 whom its log names, $2 < seq <= $3; with accounting dates in the time zone $4 from $5 to $6, unless
-- NULL.

SELECT DISTINCT transfer.customer
FROM ledger.transfer
WHERE transfer.book_id = $1::integer AND transfer.seq > $2::bigint AND transfer.seq <= $3::bigint
    AND transfer.customer IS NOT NULL
    AND ($5::date IS NULL OR ledger.accounting_date_v1(
        transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, $4::text
    ) BETWEEN $5 AND $6::date)
