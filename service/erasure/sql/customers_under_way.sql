-- Those of the customers $1 of whom a worker has begun a line of a correction of many, and has not noted what came of it.

SELECT DISTINCT line.customer
FROM rewards.correction_job AS job
JOIN rewards.correction_line AS line ON line.job_no = job.job_no AND line.line_no > job.settled AND line.line_no <= job.begun
WHERE job.status IN ('running', 'cancelling') AND line.customer = ANY ($1::bigint[])
