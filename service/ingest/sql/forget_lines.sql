-- Deletes at most $2 lines of dry runs that were asked for before $1.
DELETE FROM rewards.replayed_event
WHERE (replayed_event.replay_no, replayed_event.envelope_no, replayed_event.line) IN (
    SELECT line.replay_no, line.envelope_no, line.line
    FROM rewards.source_replay
    CROSS JOIN LATERAL (
        SELECT old.replay_no, old.envelope_no, old.line
        FROM rewards.replayed_event AS old
        WHERE old.replay_no = source_replay.replay_no
        LIMIT $2
    ) AS line
    WHERE source_replay.mode = 'dry_run' AND source_replay.asked_at < $1
    LIMIT $2
)
