-- What changed what was owed on accounting dates from $3 up to and without $4 in a book $1 of brand $2: days that lie between the same two
-- of the days $5 as one. 0 are all before the first of these. The campaign only if $6, the channel if $7, the act and its grade if $8, and
-- the month of issue if $9.

SELECT
    width_bucket(sums.day, $5::date[]) AS stretch, sums.verb, sums.debit, sums.credit,
    CASE WHEN $6 THEN nullif(sums.campaign_no, 0) END AS campaign_no, CASE WHEN $7 THEN nullif(sums.channel, '') END AS channel,
    CASE WHEN $8 THEN nullif(sums.action, '') END AS action, CASE WHEN $8 THEN nullif(sums.grade, '') END AS grade,
    CASE WHEN $9 THEN sums.issued_in END AS issued_on,
    sum(sums.transfers)::bigint AS transfers, sum(sums.points)::bigint AS points,
    min(sums.first_seq) AS first_seq, max(sums.last_seq) AS last_seq
FROM ledger.daily_movement AS sums
JOIN ledger.head ON head.book_id = $1 AND head.brand_id = $2
WHERE sums.book_id = $1 AND sums.day >= $3 AND sums.day < $4
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
