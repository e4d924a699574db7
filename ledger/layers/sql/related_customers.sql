-- Whom customers were or are merged with: those merged into them, and everybody into whom they ever were. And who began redemptions.
-- $1 book, $2 customers, $3 redemptions. Locks nothing.

SELECT merged.customer
FROM unnest($2::bigint[]) AS known (customer)
CROSS JOIN LATERAL ledger.merged_into_v1($1, known.customer) AS merged
UNION
SELECT spell.survivor
FROM ledger.spell
WHERE spell.book_id = $1 AND spell.customer = ANY ($2)
UNION
SELECT begun.customer
FROM ledger.transfer AS begun
WHERE begun.book_id = $1 AND begun.seq = ANY ($3::bigint[])
