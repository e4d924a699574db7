-- Why a customer with the numbers $1 refused one of the channels $2 with a reason, first from the time $3 on.

SELECT consent.reason
FROM rewards.consent
WHERE consent.customer = ANY ($1::bigint[]) AND consent.channel = ANY ($2::text[]) AND consent.at >= $3
    AND consent.reason IS NOT NULL
ORDER BY consent.at, consent.consent_no
LIMIT 1
