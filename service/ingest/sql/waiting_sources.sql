-- Sources with envelopes that are not read yet, or are to be read again; in any order, so that several agents take different ones.
SELECT waiting.source_no
FROM (
    SELECT source_head.source_no
    FROM rewards.source_head
    JOIN rewards.source_reader ON source_reader.source_no = source_head.source_no
    WHERE source_head.last_no > source_reader.read_no
    UNION
    SELECT source_replay.source_no FROM rewards.source_replay WHERE source_replay.done_at IS NULL
) AS waiting
ORDER BY random()
LIMIT $1
