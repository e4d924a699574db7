-- Points the numbers $1 to their survivors $2, at generation $4. Returns those whose confirmation is still $3; the others have
-- changed.

UPDATE rewards.customer SET merged_into = wanted.survivor, absorbed = 0, generation = $4
FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS wanted (number, survivor, confirmed)
WHERE customer.customer = wanted.number AND (customer.confirmed = wanted.confirmed OR customer.merged_into IS NOT NULL)
RETURNING customer.customer
