-- Revokes the device $2 of brand $1; when it was revoked first stays. Returns it.
UPDATE rewards.app_device SET revoked_at = coalesce(revoked_at, clock_timestamp())
WHERE device_id = $2 AND brand_id = $1
RETURNING device_no, device_id, customer, public_key, daily_points_max, enrolled_at, revoked_at, day, points
