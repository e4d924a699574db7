-- The envelopes of the source $1 before number $2, newest first, at most $3, each with what became of its events at each reading.
SELECT envelope.envelope_no, envelope.received_at, envelope.verdict, envelope.reason, envelope.bytes,
    envelope.sealed IS NOT NULL AS is_kept, readings.told
FROM rewards.envelope
LEFT JOIN LATERAL (
    SELECT array_agg(ROW (outcome.replay_no, outcome.decided_at, outcome.events, outcome.points, outcome.counts, outcome.mapping)
        ORDER BY outcome.replay_no) AS told
    FROM rewards.envelope_outcome AS outcome
    WHERE outcome.source_no = $1 AND outcome.envelope_no = envelope.envelope_no AND outcome.slot = envelope.slot
) AS readings ON true
WHERE envelope.source_no = $1 AND envelope.envelope_no < $2
ORDER BY envelope.envelope_no DESC
LIMIT $3
