-- What was corrected by corrections of book $1 whose first transfer is after $2, up to $3: by verb, direction and reason, how many
-- there are and how many points they moved. Those that moved none have no transfer. Locks nothing.

SELECT correction.verb, correction.is_credit, correction.reason, count(*) AS corrections, sum(correction.moved)::bigint AS points
FROM ledger.correction
WHERE correction.book_id = $1 AND correction.seq > $2 AND correction.seq <= $3
GROUP BY correction.verb, correction.is_credit, correction.reason
