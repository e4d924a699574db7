-- The number of the first correction of a book $1 that moved points after the seq $2, and of the last that did up to the seq $3.
-- Corrections are numbered in the order of the log.

SELECT
    (
        SELECT correction.correction_no
        FROM ledger.correction
        WHERE correction.book_id = $1 AND correction.seq > $2
        ORDER BY correction.seq
        LIMIT 1
    ) AS first,
    (
        SELECT correction.correction_no
        FROM ledger.correction
        WHERE correction.book_id = $1 AND correction.seq <= $3
        ORDER BY correction.seq DESC
        LIMIT 1
    ) AS last
