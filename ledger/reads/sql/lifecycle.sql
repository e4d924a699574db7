-- What customers earned in a piece of the log of a book $1 of brand $2, $3 < seq <= $4, with accounting dates from $5 to $6: by date,
-- campaign, class, and where the customer was then: new, who had earned nothing before; reactivated, who had earned nothing for
-- $7; or active.
--
-- The act before is looked up by customer, one by one.

SELECT act.day, act.campaign_no, act.class, act.stage, count(*) AS acts, sum(act.amount)::bigint AS points
FROM (
    SELECT
        earned.day, transfer.campaign_no, ledger.account_class_v1(transfer.credit) AS class, transfer.amount,
        CASE
            WHEN before.posted_at IS NULL THEN 'new'
            WHEN transfer.posted_at - before.posted_at > $7::interval THEN 'reactivated'
            ELSE 'active'
        END AS stage
    FROM ledger.transfer
    JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
    CROSS JOIN LATERAL (
        SELECT ledger.accounting_date_v1(
            transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
        ) AS day
    ) AS earned
    LEFT JOIN LATERAL (
        SELECT earlier.posted_at
        FROM ledger.transfer AS earlier
        WHERE earlier.book_id = $1 AND earlier.customer = transfer.customer AND earlier.seq < transfer.seq
            AND earlier.verb IN (2, 4)  -- GRANT, MATURE
        ORDER BY earlier.seq DESC
        LIMIT 1
    ) AS before ON true
    WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
        AND transfer.verb IN (2, 4)  -- GRANT, MATURE
        AND earned.day BETWEEN $5 AND $6
) AS act
GROUP BY act.day, act.campaign_no, act.class, act.stage
