-- A granted event has exactly one grant of its points, and every grant has its event.
--
-- What was held back has matured once, was rejected once, or is held back still.

SELECT count(*), count(*) FILTER (WHERE pair.wrong), array_agg(encode(pair.key, 'hex')) FILTER (WHERE pair.wrong)
FROM (
    SELECT
        coalesce(event.key, posted.event_key) AS key,
        event.key IS NULL OR posted.event_key IS NULL OR posted.transfers <> 1 OR posted.seq <> event.seq
            OR posted.customer <> event.customer
            OR event.points <> CASE event.outcome WHEN 7 THEN 0 ELSE posted.amount END
            OR posted.settled IS DISTINCT FROM CASE
                WHEN posted.verb = 2 OR event.outcome = 6 THEN NULL
                ELSE posted.amount * CASE event.outcome WHEN 1 THEN 1 ELSE -1 END
            END
            OR (posted.verb = 2 AND event.outcome <> 1) AS wrong
    FROM (SELECT * FROM ledger.event WHERE event.book_id = $1 AND event.outcome IN (1, 6, 7)) AS event
    FULL JOIN (
        SELECT transfer.campaign_no, transfer.event_key,
            count(*) FILTER (WHERE transfer.verb IN (2, 3)) AS transfers,
            sum(transfer.amount) FILTER (WHERE transfer.verb IN (2, 3)) AS amount,
            min(transfer.seq) AS seq, min(transfer.customer) FILTER (WHERE transfer.verb IN (2, 3)) AS customer,
            min(transfer.verb) AS verb,
            sum(CASE transfer.verb WHEN 4 THEN transfer.amount WHEN 5 THEN -transfer.amount END) AS settled
        FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.verb BETWEEN 2 AND 5
        GROUP BY transfer.campaign_no, transfer.event_key
    ) AS posted ON posted.campaign_no = event.campaign_no AND posted.event_key = event.key
) AS pair
