-- The newest lines of the statements of customers $3 of a book $1 of brand $2: customer by customer, newest first, $5 at most
-- for each, with a seq below $4; NULL is from the newest on. Points are positive where they were gained.
--
-- A line is a transfer to or from a lot. So a capture is none, which spends what its authorization has taken from the wallet, but for
-- one after a time-out; and neither is anything that happens to points held back.

SELECT
    wanted.customer, line.seq, line.posted_at, line.occurred_at, line.verb,
    CASE WHEN line.gained THEN line.amount ELSE 0 END - CASE WHEN line.lost THEN line.amount ELSE 0 END,
    nullif(ledger.account_expires_on_v1(line.lot), 'infinity'),
    line.campaign_no, line.event_key,
    CASE WHEN get_byte(line.other, 0) = 3 THEN line.other END
FROM ledger.head
CROSS JOIN LATERAL unnest($3::bigint[]) WITH ORDINALITY AS wanted (customer, place)
CROSS JOIN LATERAL (
    SELECT
        transfer.*, side.gained, side.lost,
        CASE WHEN side.gained THEN transfer.credit ELSE transfer.debit END AS lot,
        CASE WHEN side.gained THEN transfer.debit ELSE transfer.credit END AS other
    FROM ledger.transfer
    CROSS JOIN LATERAL (
        SELECT
            get_byte(transfer.credit, 0) = 1 AND get_byte(transfer.credit, 11) >> 4 = 1 AS gained,
            get_byte(transfer.debit, 0) = 1 AND get_byte(transfer.debit, 11) >> 4 = 1 AS lost
    ) AS side
    WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer
        AND transfer.seq < coalesce($4, 9223372036854775807)
        AND 1 IN (get_byte(transfer.debit, 11) >> 4, get_byte(transfer.credit, 11) >> 4)
    ORDER BY transfer.seq DESC
    LIMIT $5
) AS line
WHERE head.book_id = $1 AND head.brand_id = $2
ORDER BY wanted.place, line.seq DESC
