-- Requests for the customers $2 of brand $1 that waited for another person, after number $3, at most $4.

SELECT approval.approval_no, jsonb_build_object(
    'kind', approval.kind, 'asked', approval.body, 'asked_at', approval.asked_at, 'decision', approval.decision,
    'decided_at', approval.decided_at, 'note', approval.note, 'executed_at', approval.executed_at, 'result', approval.result
)::text
FROM rewards.approval
WHERE approval.brand_id = $1 AND approval.customer = ANY ($2::bigint[]) AND approval.approval_no > $3::bigint
ORDER BY approval.approval_no
LIMIT $4
