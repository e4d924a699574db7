-- Lines of the dry run $1 of the envelopes $2, with one of the changes $3, in their order.
SELECT line.*
FROM rewards.replayed_event AS line
WHERE line.replay_no = $1 AND line.envelope_no = ANY ($2::bigint[]) AND line.change = ANY ($3::text[])
ORDER BY line.envelope_no, line.line
