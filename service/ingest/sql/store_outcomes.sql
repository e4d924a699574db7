-- Stores what became of envelopes of the source $1, read for the replay $2 (0: as they came) by its mapping $9. What is stored
-- stays.
INSERT INTO rewards.envelope_outcome (slot, source_no, envelope_no, replay_no, events, points, counts, outcomes, mapping)
SELECT read.slot, $1, read.envelope_no, $2, read.events, read.points, read.counts, read.outcomes, $9
FROM unnest($3::smallint[], $4::bigint[], $5::integer[], $6::bigint[], $7::jsonb[], $8::bytea[])
    AS read (slot, envelope_no, events, points, counts, outcomes)
ON CONFLICT DO NOTHING
