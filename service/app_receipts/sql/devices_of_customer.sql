-- Devices of the customers $2 of brand $1 after number $3, at most $4, in the order of their numbers.
SELECT device_no, device_id, customer, public_key, daily_points_max, enrolled_at, revoked_at, day, points
FROM rewards.app_device
WHERE brand_id = $1 AND customer = ANY ($2::bigint[]) AND device_no > $3
ORDER BY device_no
LIMIT $4
