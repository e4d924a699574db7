-- Of the texts $1: those that were said after $2, and by which reply.
SELECT reply_text.text, reply_text.reply
FROM rewards.reply_text
WHERE reply_text.text = ANY ($1::bytea[]) AND reply_text.said_at > $2
