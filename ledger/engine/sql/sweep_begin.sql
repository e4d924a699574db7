-- The head's seq of a book $1 of brand $2, and through which day it can be swept; no row if it is swept that far.

SELECT head.seq, day.today - 1 AS through
FROM ledger.head
CROSS JOIN LATERAL (
    SELECT (greatest(head.posted_at, clock_timestamp() + head.clock_offset) AT TIME ZONE head.time_zone)::date AS today OFFSET 0
) AS day
WHERE head.book_id = $1 AND head.brand_id = $2 AND head.swept_through < day.today - 1
