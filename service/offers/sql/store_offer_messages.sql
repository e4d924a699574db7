-- Stores which offers ($4) of brand $1 messages $2 to customers $3 make, on channels $5, sent at $6. What is there stays as it is.
INSERT INTO rewards.offer_message (brand_id, message_id, customer, offer_group, channel, sent_at)
SELECT $1, given.*
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[])
    AS given (message_id, customer, offer_group, channel, sent_at)
ON CONFLICT DO NOTHING
