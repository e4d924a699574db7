-- A return of a purchase took as many points as the amount had earned, no more was returned than was bought, and what was bought had
-- earned what was granted.

SELECT count(*), count(*) FILTER (WHERE checked.wrong), array_agg(checked.what) FILTER (WHERE checked.wrong)
FROM (
    SELECT
        'return ' || made.correction_no AS what,
        correction.event_key IS DISTINCT FROM made.event_key
        OR correction.campaign_no IS DISTINCT FROM made.campaign_no
        OR correction.asked + made.withheld_points > made.points
        OR (made.withheld_points = 0 AND made.withheld_minor > 0)
        OR made.withheld_minor > made.amount
        OR made.before + made.amount > made.bought
        OR granted.amount IS DISTINCT FROM CASE
            WHEN made.per_points IS NULL THEN granted.amount
            ELSE div(made.bought::numeric * made.per_points, made.per_minor_units)
        END
        OR made.points <> CASE
            WHEN made.per_points IS NOT NULL THEN div((made.bought - made.before)::numeric * made.per_points, made.per_minor_units)
                - div((made.bought - made.before - made.amount)::numeric * made.per_points, made.per_minor_units)
            WHEN made.before + made.amount = made.bought THEN granted.amount
            ELSE 0
        END AS wrong
    FROM (
        SELECT
            one.*,
            sum(one.amount) OVER (PARTITION BY one.campaign_no, one.event_key ORDER BY one.correction_no) - one.amount AS before
        FROM ledger.purchase_return AS one
        WHERE one.book_id = $1
    ) AS made
    LEFT JOIN ledger.correction ON correction.book_id = $1 AND correction.correction_no = made.correction_no
    LEFT JOIN ledger.event
        ON event.book_id = $1 AND event.campaign_no = made.campaign_no AND event.key = made.event_key
    LEFT JOIN ledger.transfer AS granted ON granted.book_id = $1 AND granted.seq = event.seq
) AS checked
