-- What a customer with the numbers $1 answered last.

SELECT preference.frequency, preference.answered_at
FROM rewards.preference
WHERE preference.customer = ANY ($1::bigint[])
ORDER BY preference.answered_at DESC, preference.customer DESC
LIMIT 1
