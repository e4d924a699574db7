-- Notes which messages the replies $2 of brand $1 were taken to answer; what was noted first stays.
INSERT INTO rewards.answered_message (brand_id, reply, customer, campaign_no, message_id)
SELECT $1, taken.*
FROM unnest($2::bytea[], $3::bigint[], $4::integer[], $5::text[]) AS taken (reply, customer, campaign_no, message_id)
ON CONFLICT DO NOTHING
