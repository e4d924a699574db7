-- What is still to be decided or posted of a period of a book $1 of brand $2 that ends on the day $3: each is counted up to $4. Of the
-- events that wait, those among the newest $5 decisions that moved no points.

SELECT
    period.ends_at, greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at,
    (
        SELECT count(*) FROM (
            SELECT FROM ledger.redemption
            WHERE redemption.book_id = $1 AND redemption.closed_at IS NULL AND redemption.deadline < period.ends_at
            ORDER BY redemption.deadline  -- several indexes begin with the book: only the one by deadline is in this order
            LIMIT $4
        ) AS due
    ) AS holds,
    (
        SELECT count(*) FROM (
            SELECT FROM ledger.pending WHERE pending.book_id = $1 AND pending.due_at < period.ends_at LIMIT $4
        ) AS due
    ) AS held_back,
    head.swept_through >= $3 AS is_swept,
    (
        SELECT count(*) FROM (
            SELECT FROM ledger.pending WHERE pending.book_id = $1 AND pending.due_at >= period.ends_at LIMIT $4
        ) AS promised
    ) AS to_approve,
    (
        SELECT count(*) FROM (
            SELECT
            FROM (
                SELECT event.outcome, event.decided_at
                FROM ledger.event
                WHERE event.book_id = $1 AND event.place <= head.places
                ORDER BY event.place DESC
                LIMIT $5
            ) AS newest
            WHERE newest.outcome = 4 AND newest.decided_at < period.ends_at  -- WAITING
            LIMIT $4
        ) AS weak
    ) AS waiting
FROM ledger.head
CROSS JOIN LATERAL (SELECT ($3::date + 1)::timestamp AT TIME ZONE head.time_zone AS ends_at OFFSET 0) AS period
WHERE head.book_id = $1 AND head.brand_id = $2
