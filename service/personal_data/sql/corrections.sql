-- Why points of the customers $2 in the book $1 were taken back, after number $3, at most $4.

SELECT made.correction_no, jsonb_build_object(
    'at', made.posted_at, 'grant_id', 'grt_' || lpad(to_hex(made.campaign_no), 8, '0') || encode(made.event_key, 'hex'),
    'points', made.moved, 'shortfall', made.shortfall, 'reason', made.reason, 'reference', made.reference,
    'returned_minor', returned.amount, 'withheld_minor', returned.withheld_minor
)::text
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT correction.* FROM ledger.correction
    WHERE correction.book_id = $1 AND correction.customer = wanted.customer AND correction.correction_no > $3::bigint
    ORDER BY correction.correction_no
    LIMIT $4
) AS made
LEFT JOIN ledger.purchase_return AS returned ON returned.book_id = $1 AND returned.correction_no = made.correction_no
ORDER BY made.correction_no
LIMIT $4
