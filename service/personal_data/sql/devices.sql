-- App devices of the customers $2 of brand $1, after number $3, at most $4.

SELECT app_device.device_no AS place, jsonb_build_object(
    'device', 'dev_' || encode(app_device.device_id, 'hex'),
    'public_key', translate(encode(app_device.public_key, 'base64'), chr(10), ''),
    'enrolled_at', app_device.enrolled_at, 'revoked_at', app_device.revoked_at,
    'day', app_device.day, 'receipts', app_device.receipts, 'points', app_device.points
)::text AS item
FROM rewards.app_device
WHERE app_device.brand_id = $1 AND app_device.customer = ANY ($2::bigint[]) AND app_device.device_no > $3
ORDER BY app_device.device_no
LIMIT $4
