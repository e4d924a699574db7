-- How far down a page of the newest events of customers $2 of a book $1 looks, before the seq $3 and the place $4: at most $5 of each
-- customer's transfers, and of their decisions that moved no points. See newest_events_floor.

WITH lowest AS (
    SELECT greatest(
        0,
        (
            SELECT max(own.seq) + 1
            FROM unnest($2::bigint[]) AS wanted (customer)
            CROSS JOIN LATERAL (
                SELECT transfer.seq
                FROM ledger.transfer
                WHERE transfer.book_id = $1 AND transfer.customer = wanted.customer AND transfer.seq < $3
                ORDER BY transfer.seq DESC
                OFFSET $5
                LIMIT 1
            ) AS own
        ),
        (
            SELECT max(own.seq) + 1
            FROM unnest($2::bigint[]) AS wanted (customer)
            CROSS JOIN LATERAL (
                SELECT event.seq
                FROM ledger.event
                WHERE event.book_id = $1 AND event.customer = wanted.customer AND event.place < $4
                ORDER BY event.place DESC
                OFFSET $5
                LIMIT 1
            ) AS own
        )
    ) AS seq
)
SELECT
    lowest.seq,
    coalesce(
        (
            SELECT max(own.place) + 1
            FROM unnest($2::bigint[]) AS wanted (customer)
            CROSS JOIN LATERAL (
                SELECT event.place
                FROM ledger.event
                WHERE event.book_id = $1 AND event.customer = wanted.customer AND event.place < $4
                    AND event.seq + 1 < lowest.seq
                ORDER BY event.place DESC
                LIMIT 1
            ) AS own
        ),
        0
    ) AS place
FROM lowest
