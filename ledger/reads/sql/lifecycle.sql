-- What customers earned in a piece of the log of a book $1 of brand $2, $3 < seq <= $4, with accounting dates from $5 to $6: by date,
-- campaign, class, and where the customer was then: new, who had earned nothing before; reactivated, who had earned nothing for
-- $7; or active.
--
-- The act before is the one before in the piece, or else looked up by customer, one by one.

SELECT act.day, act.campaign_no, act.class, act.stage, count(*) AS acts, sum(act.amount)::bigint AS points
FROM (
    SELECT
        earned.day, earned.campaign_no, earned.class, earned.amount,
        CASE
            WHEN before.posted_at IS NULL THEN 'new'
            WHEN earned.posted_at - before.posted_at > $7::interval THEN 'reactivated'
            ELSE 'active'
        END AS stage
    FROM (
        SELECT
            transfer.seq, transfer.customer, transfer.campaign_no, transfer.amount, transfer.posted_at,
            ledger.account_class_v1(transfer.credit) AS class,
            ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
            ) AS day,
            lag(transfer.posted_at) OVER (PARTITION BY transfer.customer ORDER BY transfer.seq) AS posted_before
        FROM ledger.transfer
        JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
        WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
            AND transfer.verb IN (2, 4)  -- GRANT, MATURE
    ) AS earned
    LEFT JOIN LATERAL (
        SELECT earned.posted_before AS posted_at
        WHERE earned.posted_before IS NOT NULL
        UNION ALL
        SELECT earlier.posted_at
        FROM (
            SELECT earlier.posted_at
            FROM ledger.transfer AS earlier
            WHERE earned.posted_before IS NULL
                AND earlier.book_id = $1 AND earlier.customer = earned.customer AND earlier.seq < earned.seq
                AND earlier.verb IN (2, 4)  -- GRANT, MATURE
            ORDER BY earlier.seq DESC
            LIMIT 1
        ) AS earlier
    ) AS before ON true
    WHERE earned.day BETWEEN $5 AND $6
) AS act
GROUP BY act.day, act.campaign_no, act.class, act.stage
