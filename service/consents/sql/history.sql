-- The statements of a customer with the numbers $1, latest first, before the one of the time $2 and the number $3; NULL is from
-- the latest on. $4 at most.

SELECT
    said.consent_no, said.customer, said.channel, said.at, said.refused, said.source, said.recorded_at, said.recorded_by,
    said.link_made_by, said.reason
FROM rewards.consent AS said
WHERE said.customer = ANY ($1::bigint[]) AND ($2::timestamptz IS NULL OR (said.at, said.consent_no) < ($2, $3))
ORDER BY said.at DESC, said.consent_no DESC
LIMIT $4
