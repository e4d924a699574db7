-- Events that moved no points are numbered in the order in which they were decided.
--
-- These are the refused and the waiting ones, also those that their offer has outlived. An offer that lapsed without any has none.

SELECT count(*), count(*) FILTER (WHERE placed.wrong), array_agg(encode(placed.key, 'hex')) FILTER (WHERE placed.wrong)
FROM (
    SELECT event.key,
        (event.outcome IN (2, 3, 4, 10)) <> (event.place IS NOT NULL AND event.outcome <> 11) OR event.place > head.places
            OR (event.outcome <> 4 AND event.terms IS NOT NULL)
            OR event.place = lag(event.place) OVER by_place
            OR (event.place IS NOT NULL AND event.seq < lag(event.seq) OVER by_place) AS wrong
    FROM ledger.event
    JOIN ledger.head ON head.book_id = $1
    WHERE event.book_id = $1 AND (event.place IS NOT NULL OR event.outcome <> 1)
    WINDOW by_place AS (PARTITION BY event.place IS NULL ORDER BY event.place)
) AS placed
