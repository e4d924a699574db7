-- What was proved and withdrawn of the identity $1, oldest first, after $2, $3 at most.

SELECT verification.verification_no, verification.method, verification.proof, verification.reason, verification.happened_at,
    verification.recorded_at, verification.api_key_id
FROM rewards.verification
WHERE verification.identity_no = $1 AND verification.verification_no > $2
ORDER BY verification.verification_no
LIMIT $3
