-- Adjustments of customers $5 of a book $1 of brand $2, newest first, $4 at most: those with numbers below $3.

SELECT
    made.correction_no, made.seq, made.posted_at, made.customer, CASE WHEN made.is_credit THEN made.moved ELSE -made.moved END AS points,
    made.campaign_no, made.reason, made.reference, made.note, made.principal
FROM ledger.head
CROSS JOIN LATERAL unnest($5::bigint[]) AS member (customer)
CROSS JOIN LATERAL (
    SELECT correction.*
    FROM ledger.correction
    WHERE correction.book_id = $1 AND correction.customer = member.customer AND correction.verb = 12
        AND correction.correction_no < $3
    ORDER BY correction.correction_no DESC
    LIMIT $4
) AS made
WHERE head.book_id = $1 AND head.brand_id = $2
ORDER BY made.correction_no DESC
LIMIT $4
