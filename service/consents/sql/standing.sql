-- Of statements to be added, of customers $1 under numbers $2 on channels $3 at times $4, refused or granted $5, by sources $6:
-- whether each was made before, under any number of the customer, and the one that holds for the channel so far. In order.
--
-- Whatever the planner knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.

SELECT
    EXISTS (
        SELECT FROM rewards.consent
        WHERE consent.customer = ANY (one.numbers) AND consent.channel = wanted.channel AND consent.at = wanted.at
            AND consent.refused = wanted.refused AND consent.source = wanted.source
    ) AS was_said,
    said.consent_no, said.customer, said.channel, said.at, said.refused, said.source, said.recorded_at, said.recorded_by,
    said.link_made_by, said.reason
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[]) WITH ORDINALITY
    AS wanted (customer, number, channel, at, refused, source, n)
CROSS JOIN LATERAL (
    SELECT ARRAY(
        SELECT wanted.customer
        UNION ALL
        SELECT merged.customer
        FROM (SELECT customer.customer FROM rewards.customer WHERE customer.merged_into = wanted.customer OFFSET 0) AS merged
    ) AS numbers
    OFFSET 0
) AS one
LEFT JOIN LATERAL (
    SELECT *
    FROM rewards.consent
    WHERE consent.customer = ANY (one.numbers) AND consent.channel = wanted.channel
    ORDER BY consent.at DESC, consent.refused DESC, consent.consent_no DESC
    LIMIT 1
) AS said ON true
ORDER BY wanted.n
