-- The newest $2 requests for links of the messages $1, newest first.
SELECT touch.link_id, touch.at, touch.way, touch.grade
FROM rewards.touch
WHERE touch.message = ANY ($1::bytea[])
ORDER BY touch.at DESC, touch.link_id
LIMIT $2
