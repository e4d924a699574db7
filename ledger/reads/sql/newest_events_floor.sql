-- How far down a page of a book's ($1) newest events looks: not below the seq $2 and the place $4, and in both streams to the
-- same moment, where $3 is the place that the page begins before. What is as old as the first event left out is left out too.

WITH lowest AS (
    SELECT greatest(
        $2::bigint,
        (
            SELECT event.seq + 1
            FROM ledger.event
            WHERE event.book_id = $1 AND event.place < $4
            ORDER BY event.place DESC
            LIMIT 1
        )
    ) AS seq
)
SELECT
    lowest.seq,
    coalesce(
        (
            SELECT event.place + 1
            FROM ledger.event
            WHERE event.book_id = $1 AND event.place < $3 AND event.place >= $4 AND event.seq + 1 < lowest.seq
            ORDER BY event.place DESC
            LIMIT 1
        ),
        $4::bigint
    ) AS place
FROM lowest
