-- The envelopes of the source $1 after number $2 until $3: at most $4, and no more once there are $5 bytes, in their order.
-- Each content is looked for by itself, in the partition of the envelope found first: a join would read all that waits.
WITH following AS (
    SELECT envelope.slot, envelope.envelope_no, envelope.bytes
    FROM rewards.envelope
    WHERE envelope.source_no = $1 AND envelope.envelope_no > $2 AND envelope.envelope_no <= $3
    ORDER BY envelope.envelope_no
    LIMIT $4
), summed AS (
    SELECT following.slot, following.envelope_no,
        sum(following.bytes) OVER (ORDER BY following.envelope_no) - following.bytes AS before
    FROM following
)
SELECT summed.slot, summed.envelope_no, kept.id, kept.received_at, kept.verdict, kept.key_day, kept.sealed
FROM summed
CROSS JOIN LATERAL (
    SELECT envelope.id, envelope.received_at, envelope.verdict, envelope.key_day, envelope.sealed
    FROM rewards.envelope
    WHERE envelope.slot = summed.slot AND envelope.source_no = $1 AND envelope.envelope_no = summed.envelope_no
    LIMIT 1
) AS kept
WHERE summed.before < $5
ORDER BY summed.envelope_no
