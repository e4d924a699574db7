-- Keeps what the customer $1 of brand $2 answered at $4: the frequency $3. A later answer stands.

INSERT INTO rewards.preference AS kept (customer, brand_id, frequency, answered_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (customer) DO UPDATE
SET frequency = excluded.frequency, answered_at = excluded.answered_at
WHERE kept.answered_at <= excluded.answered_at
