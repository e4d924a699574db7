-- How many files wait in all spools, and since when at the longest; of how many spools there has been no report for $1, and five of
-- the machines that had them.

SELECT
    coalesce(sum(report.files), 0)::integer AS files, min(report.waiting_since) AS since,
    count(*) FILTER (WHERE report.is_old) AS silent,
    coalesce((array_agg(report.machine ORDER BY report.machine) FILTER (WHERE report.is_old))[1:5], '{}') AS machines
FROM (
    SELECT spool_report.*, spool_report.reported_at < clock_timestamp() - $1::interval AS is_old FROM rewards.spool_report
) AS report
