-- The envelopes of the source $1 after number $2 until $3: at most $4, and no more once there are $5 bytes, in their order.
-- Partitions are named by the envelopes found first, so that contents are looked for in one each.
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
SELECT envelope.slot, envelope.envelope_no, envelope.id, envelope.received_at, envelope.verdict, envelope.key_day,
    envelope.sealed
FROM summed
JOIN rewards.envelope
    ON envelope.source_no = $1 AND envelope.envelope_no = summed.envelope_no AND envelope.slot = summed.slot
WHERE summed.before < $5
ORDER BY summed.envelope_no
