-- The spendable points that a customer $3 of a book $1 of brand $2 was given back by the last split.

SELECT spell.points_returned
FROM ledger.spell
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE spell.book_id = $1 AND spell.customer = $3 AND spell.points_returned IS NOT NULL
ORDER BY spell.spell_no DESC
LIMIT 1
