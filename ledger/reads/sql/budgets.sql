-- What budget accounts $3 of a book $1 of brand $2 were funded with, and what of it is granted or held back, in points. What a
-- rejection or a claw-back gives back is credited to the budget as a funding is, and was debited before.

SELECT
    account.id, funding.points AS funded, account.debits - (account.credits - funding.points) AS granted
FROM ledger.account
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT coalesce(sum(transfer.amount), 0)::bigint AS points
    FROM ledger.transfer
    WHERE transfer.book_id = $1 AND transfer.verb = 1  -- FUND
        AND transfer.campaign_no = ('x' || encode(substring(account.id FROM 8 FOR 4), 'hex'))::bit(32)::integer
) AS funding
WHERE account.book_id = $1 AND account.id = ANY($3::bytea[])
