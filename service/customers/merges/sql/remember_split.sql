-- Remembers that the number $1 was one with each of $2.

INSERT INTO rewards.parted (customer, other)
SELECT pair.customer, pair.other
FROM unnest($2::bigint[]) AS rest (number)
CROSS JOIN LATERAL (VALUES ($1::bigint, rest.number), (rest.number, $1::bigint)) AS pair (customer, other)
ON CONFLICT (customer, other) DO NOTHING
