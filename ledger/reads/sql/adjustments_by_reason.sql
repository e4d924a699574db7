-- Adjustments for the reason $5 of a book $1 of brand $2, newest first, $4 at most: those with numbers below $3.

SELECT
    correction.correction_no, correction.seq, correction.posted_at, correction.customer,
    CASE WHEN correction.is_credit THEN correction.moved ELSE -correction.moved END AS points, correction.campaign_no,
    correction.reason, correction.reference, correction.note, correction.principal
FROM ledger.head
JOIN ledger.correction ON correction.book_id = $1
WHERE head.book_id = $1 AND head.brand_id = $2 AND correction.verb = 12 AND correction.correction_no < $3
    AND correction.reason = $5
ORDER BY correction.reason DESC, correction.correction_no DESC
LIMIT $4
