-- What the transfers of customers $3 in a book $1 of brand $2 changed of what is owed to them, of each customer after the seq in $4, the
-- first $6, none after $5: by each one's place in $3, stretch of days, class and verb. Days from one of $7 to the next are a stretch, 0
-- are those before. Owed is what is in lots and set aside for purchases. Also the last seq that was read of each customer,
-- and how many were. See customer_movements.

SELECT
    wanted.n, moved.stretch, moved.class, moved.verb, sum(moved.change)::bigint AS change,
    max(moved.seq) AS last_seq, count(*) AS transfers
FROM unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS wanted (customer, after, n)
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT
        transfer.seq, ledger.transfer_verb_v1(transfer.verb, transfer.due_on) AS verb, side.class,
        transfer.amount * (side.gained::integer - side.lost::integer) AS change,
        width_bucket(
            ledger.accounting_date_v1(transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone),
            $7::date[]
        ) AS stretch
    FROM ledger.transfer
    CROSS JOIN LATERAL (
        SELECT
            get_byte(transfer.credit, 11) >> 4 IN (1, 3) AS gained,  -- LOT, HELD
            get_byte(transfer.debit, 11) >> 4 IN (1, 3) AS lost,
            -- The class is that of the account that is the customer's.
            ledger.account_class_v1(CASE
                WHEN get_byte(transfer.debit, 11) >> 4 IN (1, 3) THEN transfer.debit ELSE transfer.credit
            END) AS class
    ) AS side
    WHERE transfer.book_id = $1 AND transfer.customer IS NOT NULL
        AND (transfer.customer, transfer.seq) > (wanted.customer, wanted.after)
        AND (transfer.customer, transfer.seq) <= (wanted.customer, $5)
    ORDER BY transfer.customer, transfer.seq
    LIMIT $6
) AS moved
GROUP BY wanted.n, moved.stretch, moved.class, moved.verb
