-- Requests for links of the messages $1, of the last thirty days.

SELECT jsonb_build_object(
    'at', touch.at, 'way', touch.way, 'grade', touch.grade, 'network', touch.network, 'agent', encode(touch.agent, 'hex')
)::text
FROM rewards.touch
WHERE touch.message = ANY ($1::bytea[])
ORDER BY touch.at, touch.link_id
