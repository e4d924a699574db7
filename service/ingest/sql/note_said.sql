-- Notes which replies ($3) say the texts $1, of which customers ($2). What was said after $4 stays as it was noted first.
INSERT INTO rewards.reply_text AS said (text, customer, reply)
SELECT noted.text, noted.customer, noted.reply
FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS noted (text, customer, reply)
ON CONFLICT (text) DO UPDATE SET reply = excluded.reply, said_at = clock_timestamp()
WHERE said.said_at <= $4
