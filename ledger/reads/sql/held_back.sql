-- What a book $1 holds back for the customers $2, $5 at most: those after the customer $3 and the key $4, in this order.
--
-- BETWEEN x AND x ORDER BY x: only the primary key comes without a sort, whatever the planner knows of the table.

SELECT held.customer, held.campaign_no, held.key
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT pending.customer, pending.campaign_no, pending.key
    FROM ledger.pending
    WHERE pending.book_id = $1 AND pending.customer BETWEEN wanted.customer AND wanted.customer
        AND (wanted.customer, pending.key) > ($3::bigint, $4::bytea)
    ORDER BY pending.customer, pending.key
    LIMIT $5
) AS held
ORDER BY held.customer, held.key
LIMIT $5
