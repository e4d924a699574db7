-- Details whose salt is gone are of customers who were erased, or as old as those that have been forgotten.
--
-- An offer that lapsed has none.

SELECT count(*), count(*) FILTER (WHERE NOT lacking.is_old AND NOT coalesce(state.erased, false)),
    array_agg(lacking.name) FILTER (WHERE NOT lacking.is_old AND NOT coalesce(state.erased, false))
FROM (
    SELECT
        event.customer, 'event ' || event.campaign_no || ':' || encode(event.key, 'hex') AS name,
        CASE WHEN event.place IS NULL THEN event.seq <= forgotten.seq ELSE event.place <= forgotten.place END IS TRUE AS is_old
    FROM ledger.event
    LEFT JOIN ledger.forgotten ON forgotten.book_id = $1
    WHERE event.book_id = $1 AND event.salt IS NULL AND event.outcome <> 11
    UNION ALL
    SELECT redemption.customer, 'redemption ' || redemption.id, (redemption.id <= forgotten.seq) IS TRUE
    FROM ledger.redemption
    LEFT JOIN ledger.forgotten ON forgotten.book_id = $1
    WHERE redemption.book_id = $1 AND redemption.salt IS NULL
    UNION ALL
    SELECT redemption.customer, 'step ' || step.seq, (step.seq <= forgotten.seq) IS TRUE
    FROM ledger.redemption_step AS step
    JOIN ledger.redemption ON redemption.book_id = $1 AND redemption.id = step.redemption
    LEFT JOIN ledger.forgotten ON forgotten.book_id = $1
    WHERE step.book_id = $1 AND step.salt IS NULL
    UNION ALL
    SELECT correction.customer, 'correction ' || correction.correction_no, (correction.posted_at < forgotten.before) IS TRUE
    FROM ledger.correction
    LEFT JOIN ledger.forgotten ON forgotten.book_id = $1
    WHERE correction.book_id = $1 AND correction.salt IS NULL
) AS lacking
LEFT JOIN ledger.customer_state AS state ON state.book_id = $1 AND state.customer = lacking.customer
