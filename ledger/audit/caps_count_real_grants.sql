-- A cap counts no more than its customer, or all customers together, were granted in its campaign.

SELECT count(*), count(*) FILTER (WHERE used.wrong), array_agg('customer ' || used.customer) FILTER (WHERE used.wrong)
FROM (
    SELECT counted.customer, counted.grants > coalesce(granted.grants, 0)
        OR counted.points > coalesce(granted.points, 0) AS wrong
    FROM (
        SELECT cap_use.campaign_no, cap_use.customer, cap_use.grants, cap_use.points
        FROM ledger.cap_use WHERE cap_use.book_id = $1
        UNION ALL
        SELECT cap_recent.campaign_no, cap_recent.customer, cardinality(cap_recent.counted_at),
            (SELECT coalesce(sum(points), 0) FROM unnest(cap_recent.points) AS points)
        FROM ledger.cap_recent WHERE cap_recent.book_id = $1
    ) AS counted
    LEFT JOIN (
        SELECT event.campaign_no, event.customer, count(*) AS grants, sum(event.points) AS points
        FROM ledger.event WHERE event.book_id = $1 AND event.outcome IN (1, 6)
        GROUP BY GROUPING SETS ((event.campaign_no, event.customer), (event.campaign_no))
    ) AS granted ON granted.campaign_no = counted.campaign_no AND coalesce(granted.customer, 0) = greatest(counted.customer, 0)
) AS used
