-- Whether there is anything in the partition $1 of envelopes, and whether any of it is not read yet.
SELECT
    EXISTS (SELECT FROM rewards.envelope WHERE envelope.slot = $1) AS is_filled,
    EXISTS (
        SELECT FROM rewards.source_reader
        WHERE EXISTS (
            SELECT FROM rewards.envelope
            WHERE envelope.slot = $1 AND envelope.source_no = source_reader.source_no
                AND envelope.envelope_no > source_reader.read_no
        )
    ) AS is_waiting
