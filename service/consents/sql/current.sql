-- The statement that holds for each channel of a customer with the numbers $1, by channel.

SELECT
    said.consent_no, said.customer, said.channel, said.at, said.refused, said.source, said.recorded_at, said.recorded_by,
    said.link_made_by, said.reason
FROM (
    SELECT DISTINCT ON (consent.channel) consent.*
    FROM rewards.consent
    WHERE consent.customer = ANY ($1::bigint[])
    ORDER BY consent.channel, consent.at DESC, consent.refused DESC, consent.consent_no DESC
) AS said
ORDER BY said.channel
