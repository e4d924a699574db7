-- Gives a code ($1) back that was taken for a customer ($2).
UPDATE rewards.batch_code SET customer = NULL, claimed_at = NULL
WHERE batch_code.code_hash = $1 AND batch_code.customer = $2
