-- Deletes the keys of days before $1 with which nothing is sealed any more that is still there.
DELETE FROM rewards.envelope_key
WHERE envelope_key.day < $1::date
    AND NOT EXISTS (SELECT FROM rewards.envelope WHERE envelope.key_day = envelope_key.day)
