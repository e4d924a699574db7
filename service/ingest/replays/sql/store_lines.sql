-- Stores lines of the dry run $1. What is stored stays.
INSERT INTO rewards.replayed_event (
    replay_no, envelope_no, line, index, change, kind, then_outcome, then_reason, then_grant, then_points, left_points,
    now_outcome, now_reason, now_grant, now_points, act, campaign, customer
)
SELECT $1, found.*
FROM unnest(
    $2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
    $11::bigint[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::bytea[], $17::text[], $18::bigint[]
) AS found (
    envelope_no, line, index, change, kind, then_outcome, then_reason, then_grant, then_points, left_points,
    now_outcome, now_reason, now_grant, now_points, act, campaign, customer
)
ON CONFLICT DO NOTHING
