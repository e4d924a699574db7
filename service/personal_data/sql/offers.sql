-- Offers that the customers $2 of brand $1 were made, after $3 in the order of their groups and customers, at most $4.

SELECT found.place, found.item
FROM (
    SELECT offer.offer_group || chr(1) || lpad(offer.customer::text, 20, '0') AS place, jsonb_build_object(
        'offer_group', offer.offer_group, 'campaign', coalesce(campaign.id, offer.campaign_no::text),
        'offered_at', offer.offered_at, 'lapses_at', offer.lapses_at, 'ended_at', offer.ended_at,
        'messages', ARRAY(
            SELECT jsonb_build_object(
                'message_id', made.message_id, 'channel', made.channel, 'sent_at', made.sent_at, 'delivered_at', made.delivered_at,
                'opened_at', made.opened_at, 'clicked_at', made.clicked_at, 'failed_at', made.failed_at
            )
            FROM rewards.offer_message AS made
            WHERE made.brand_id = $1 AND made.offer_group = offer.offer_group AND made.customer = offer.customer
            ORDER BY made.sent_at, made.message_id
        )
    )::text AS item
    FROM rewards.offer
    LEFT JOIN rewards.campaign ON campaign.campaign_no = offer.campaign_no
    WHERE offer.brand_id = $1 AND offer.customer = ANY ($2::bigint[])
) AS found
WHERE found.place > $3::text
ORDER BY found.place
LIMIT $4
