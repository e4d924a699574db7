-- Which of these ids ($1) are those of stored envelopes.
SELECT envelope.id FROM rewards.envelope WHERE envelope.id = ANY ($1::bytea[])
