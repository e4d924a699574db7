-- Stores a device ($1) of brand $2 and customer $3 with the public key $4, a limit of points a day ($5), enrolled by key $6.
-- Returns its number, or nothing if the key is stored.
INSERT INTO rewards.app_device (device_id, brand_id, customer, public_key, daily_points_max, enrolled_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING device_no
