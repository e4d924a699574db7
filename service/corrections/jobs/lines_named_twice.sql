-- Refuses each line of a job that names a grant or a customer that a line before it has named, and says which line that is.
-- :job_no. Reads the job's lines once, whatever the planner knows of the table. Again it changes nothing.

UPDATE rewards.correction_line AS line
SET state = 'refused', code = 'invalid_field',
    detail = 'the body: names what line ' || twice.first || ' does: each grant and customer once'
FROM (
    SELECT
        named.line_no,
        min(named.line_no) OVER (
            PARTITION BY named.campaign_no, named.event_key, CASE WHEN named.event_key IS NULL THEN named.customer END
        ) AS first
    FROM rewards.correction_line AS named
    WHERE named.job_no = :job_no AND named.state = 'new'
) AS twice
WHERE line.job_no = :job_no AND line.line_no = twice.line_no AND twice.first < twice.line_no
