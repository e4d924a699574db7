-- The device of brand $1 with the public key $2.
SELECT device_no, device_id, customer, public_key, daily_points_max, enrolled_at, revoked_at, day, points
FROM rewards.app_device
WHERE brand_id = $1 AND public_key = $2
