-- What was corrected for the customers $2 in the book $1, and why, after number $3, at most $4. $5: the verbs' names.

SELECT made.correction_no, jsonb_build_object(
    'type', ($5::text[])[made.verb], 'at', made.posted_at,
    'grant_id', 'grt_' || lpad(to_hex(made.campaign_no), 8, '0') || encode(made.event_key, 'hex'),
    'points', made.moved, 'given', made.is_credit, 'shortfall', made.shortfall, 'reason', made.reason,
    'reference', made.reference, 'note', made.note, 'returned', (
        SELECT back.amount FROM ledger.purchase_return AS back
        WHERE back.book_id = $1 AND back.correction_no = made.correction_no
        LIMIT 1
    )
)::text
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT correction.* FROM ledger.correction
    WHERE correction.book_id = $1 AND correction.customer = wanted.customer AND correction.correction_no > $3::bigint
    ORDER BY correction.correction_no
    LIMIT $4
) AS made
ORDER BY made.correction_no
LIMIT $4
