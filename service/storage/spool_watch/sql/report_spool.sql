-- Says that $3 files wait in the spool $1, of the machine $2.

INSERT INTO rewards.spool_report AS known (spool, machine, files, waiting_since, reported_at)
VALUES ($1, $2, $3, CASE WHEN $3::integer > 0 THEN clock_timestamp() END, clock_timestamp())
ON CONFLICT (spool) DO UPDATE
SET machine = excluded.machine, files = excluded.files, reported_at = excluded.reported_at,
    waiting_since = CASE WHEN excluded.files > 0 THEN coalesce(known.waiting_since, excluded.waiting_since) END
