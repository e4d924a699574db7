-- Whose transfers those of redemptions $2 of a book $1 are: of the customer who began each, of those into whom they were merged since,
-- and of those who had the redemption in between.

SELECT DISTINCT whose.customer
FROM unnest($2::bigint[]) AS wanted (redemption)
CROSS JOIN LATERAL (
    SELECT redemption.id, redemption.customer
    FROM ledger.redemption
    WHERE redemption.book_id = $1 AND redemption.id BETWEEN wanted.redemption AND wanted.redemption
    ORDER BY redemption.id
    OFFSET 0
) AS found
CROSS JOIN LATERAL (
    SELECT found.customer
    UNION ALL
    SELECT merged.customer FROM ledger.merged_into_v1($1, found.customer) AS merged
    UNION ALL
    SELECT begun.customer FROM ledger.transfer AS begun WHERE begun.book_id = $1 AND begun.seq = found.id
    UNION ALL
    SELECT spell.survivor
    FROM ledger.transfer AS begun
    JOIN ledger.spell ON spell.book_id = $1 AND spell.customer = begun.customer
    WHERE begun.book_id = $1 AND begun.seq = found.id
) AS whose
