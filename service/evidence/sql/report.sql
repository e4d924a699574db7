-- What came to a brand's ($1) links on the days from $2 to $3, by campaign, grade and why.
SELECT campaign_no, grade, why, sum(touches)::bigint, sum(first_points)::bigint, sum(followed_points)::bigint
FROM rewards.touch_count
WHERE brand_id = $1 AND day BETWEEN $2 AND $3
GROUP BY campaign_no, grade, why
ORDER BY campaign_no, grade, why
