-- Details whose salt is gone are of customers who were erased.

SELECT count(*), count(*) FILTER (WHERE NOT coalesce(state.erased, false)),
    array_agg(lacking.name) FILTER (WHERE NOT coalesce(state.erased, false))
FROM (
    SELECT event.customer, 'event ' || event.campaign_no || ':' || encode(event.key, 'hex') AS name
    FROM ledger.event
    WHERE event.book_id = $1 AND event.salt IS NULL
    UNION ALL
    SELECT redemption.customer, 'redemption ' || redemption.id
    FROM ledger.redemption
    WHERE redemption.book_id = $1 AND redemption.salt IS NULL
    UNION ALL
    SELECT redemption.customer, 'step ' || step.seq
    FROM ledger.redemption_step AS step
    JOIN ledger.redemption ON redemption.book_id = $1 AND redemption.id = step.redemption
    WHERE step.book_id = $1 AND step.salt IS NULL
    UNION ALL
    SELECT correction.customer, 'correction ' || correction.correction_no
    FROM ledger.correction
    WHERE correction.book_id = $1 AND correction.salt IS NULL
) AS lacking
LEFT JOIN ledger.customer_state AS state ON state.book_id = $1 AND state.customer = lacking.customer
