-- Says of the lines $3 of the envelopes $2 of the dry run $1 how they stand.
UPDATE rewards.replayed_event AS line SET state = $4
FROM unnest($2::bigint[], $3::integer[]) AS marked (envelope_no, line)
WHERE line.replay_no = $1 AND line.envelope_no = marked.envelope_no AND line.line = marked.line
