-- Marks in the dry run $1 what a correction would take back: each grant that the source reported first once, unless an event of
-- the range is still that act.
UPDATE rewards.replayed_event AS taken SET takes = true
FROM (
    SELECT DISTINCT ON (first.then_grant) first.envelope_no, first.line
    FROM rewards.replayed_event AS first
    WHERE first.replay_no = $1 AND first.change IN ('rekeyed', 'no_longer') AND first.left_points IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM rewards.replayed_event AS kept
            WHERE kept.replay_no = $1 AND kept.now_grant = first.then_grant
        )
    ORDER BY first.then_grant, first.envelope_no, first.line
) AS chosen
WHERE taken.replay_no = $1 AND taken.envelope_no = chosen.envelope_no AND taken.line = chosen.line
