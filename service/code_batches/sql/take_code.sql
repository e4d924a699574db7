-- Takes a code ($1) for a customer ($2), unless somebody has it.
UPDATE rewards.batch_code SET customer = $2, claimed_at = clock_timestamp()
WHERE batch_code.code_hash = $1 AND batch_code.customer IS NULL
RETURNING batch_code.serial
