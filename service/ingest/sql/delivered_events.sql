-- What became of the events of the envelope $2 of the source $1 at the reading $3; NULL is the last one.
SELECT outcome.outcomes
FROM rewards.envelope_outcome AS outcome
WHERE outcome.source_no = $1 AND outcome.envelope_no = $2 AND ($3::integer IS NULL OR outcome.replay_no = $3)
ORDER BY outcome.replay_no DESC
LIMIT 1
