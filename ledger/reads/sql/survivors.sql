-- A page of the customers of a book $1 of brand $2 who are merged into nobody, after the number $3, $4 at most: each with those who are
-- merged into them.

SELECT
    page.customer,
    CASE WHEN page.absorbed = 0 THEN '{}'::bigint[] ELSE ARRAY(
        SELECT part.customer
        FROM ledger.customer_state AS part
        WHERE part.book_id = $1 AND part.moved_to = page.customer
        ORDER BY part.customer
    ) END AS merged
FROM (
    SELECT state.customer, state.absorbed
    FROM ledger.customer_state AS state
    JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
    WHERE state.book_id = $1 AND state.customer > $3 AND state.moved_to IS NULL
    ORDER BY state.customer
    LIMIT $4
) AS page
ORDER BY page.customer
