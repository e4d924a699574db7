-- In the order of seq, posted_at never runs back.

SELECT count(*), count(*) FILTER (WHERE step.posted_at < step.before),
    array_agg('seq ' || step.seq) FILTER (WHERE step.posted_at < step.before)
FROM (
    SELECT transfer.seq, transfer.posted_at, lag(transfer.posted_at) OVER (ORDER BY transfer.seq) AS before
    FROM ledger.transfer WHERE transfer.book_id = $1
) AS step
