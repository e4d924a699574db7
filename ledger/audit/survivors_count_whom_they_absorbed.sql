-- A survivor counts as many absorbed customers as name them.

SELECT count(*), count(*) FILTER (WHERE state.absorbed <> coalesce(merged.customers, 0)),
    array_agg('customer ' || state.customer) FILTER (WHERE state.absorbed <> coalesce(merged.customers, 0))
FROM ledger.customer_state AS state
LEFT JOIN (
    SELECT each.moved_to, count(*) AS customers
    FROM ledger.customer_state AS each WHERE each.book_id = $1 AND each.moved_to IS NOT NULL GROUP BY each.moved_to
) AS merged ON merged.moved_to = state.customer
WHERE state.book_id = $1
