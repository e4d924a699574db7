-- Makes the number $1 a customer again, and the numbers $2 one without it, the first the survivor, at generation $3.
--
-- Each side is confirmed if one of its own numbers has an id of the brand's own.

UPDATE rewards.customer
SET merged_into = NULL, absorbed = greatest(0, cardinality(side.numbers) - 1), generation = $3, parted = true,
    confirmed = EXISTS (SELECT FROM rewards.identity WHERE identity.customer = ANY(side.numbers) AND identity.kind = 1)
FROM (VALUES ($1::bigint, ARRAY[$1::bigint]), (($2::bigint[])[1], $2::bigint[])) AS side (number, numbers)
WHERE customer.customer = side.number
