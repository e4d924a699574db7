-- How many points caps $3 of a campaign $2 in a book $1 have counted in the periods $4 for the customers or groups $5, side by side.

SELECT coalesce(used.points, 0) AS points
FROM unnest($3::smallint[], $4::date[], $5::bigint[]) WITH ORDINALITY AS wanted (cap, period, counted_for, place)
LEFT JOIN LATERAL (
    SELECT cap_use.points
    FROM ledger.cap_use
    WHERE cap_use.book_id = $1 AND cap_use.campaign_no = $2 AND cap_use.period = wanted.period
        AND cap_use.customer = wanted.counted_for AND cap_use.cap = wanted.cap
    LIMIT 1
) AS used ON true
ORDER BY wanted.place
