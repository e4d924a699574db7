-- Adds statements of brand $1, recorded at $2 by the key $3, with a link that the key $4 made: of customers $5 under numbers $6
-- on channels $7 at times $8, refused or granted $9, by sources $10, for reasons $11.
-- In order; returns each as it is stored.

INSERT INTO rewards.consent AS said (
    brand_id, customer, channel, at, refused, source, recorded_at, recorded_by, link_made_by, reason
)
SELECT $1, wanted.number, wanted.channel, wanted.at, wanted.refused, wanted.source, $2, $3, $4, wanted.reason
FROM unnest($5::bigint[], $6::bigint[], $7::text[], $8::timestamptz[], $9::boolean[], $10::text[], $11::text[]) WITH ORDINALITY
    AS wanted (customer, number, channel, at, refused, source, reason, n)
ORDER BY wanted.n
RETURNING
    said.consent_no, said.customer, said.channel, said.at, said.refused, said.source, said.recorded_at, said.recorded_by,
    said.link_made_by, said.reason
