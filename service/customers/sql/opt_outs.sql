-- What follows from all that was said about the consents of the survivors $1 and of those merged into them: the times at which
-- each channel was refused, granted, refused ..., in microseconds since 1970, of at most $2 changes. A row for each about whom
-- something is said or was; NULL if nothing is left of it.
--
-- Whatever the planner knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.

WITH member AS (
    SELECT wanted.customer AS survivor, one.customer
    FROM unnest($1::bigint[]) AS wanted (customer)
    CROSS JOIN LATERAL (
        SELECT wanted.customer
        UNION ALL
        SELECT merged.customer
        FROM (SELECT customer.customer FROM rewards.customer WHERE customer.merged_into = wanted.customer OFFSET 0) AS merged
    ) AS one
), stated AS (
    SELECT member.survivor, said.channel, said.at, bool_or(said.refused) AS refused
    FROM member
    CROSS JOIN LATERAL (
        SELECT consent.channel, consent.at, consent.refused
        FROM rewards.consent
        WHERE consent.customer = member.customer
        OFFSET 0
    ) AS said
    GROUP BY member.survivor, said.channel, said.at
), turn AS (
    SELECT
        compared.survivor, compared.channel, compared.at,
        row_number() OVER (PARTITION BY compared.survivor, compared.channel ORDER BY compared.at) AS n,
        count(*) OVER (PARTITION BY compared.survivor, compared.channel) AS turns
    FROM (
        SELECT
            stated.survivor, stated.channel, stated.at, stated.refused,
            lag(stated.refused, 1, false) OVER (PARTITION BY stated.survivor, stated.channel ORDER BY stated.at) AS before
        FROM stated
    ) AS compared
    WHERE compared.refused <> compared.before
), channel AS (
    SELECT turn.survivor, turn.channel, jsonb_agg((extract(epoch FROM turn.at) * 1000000)::bigint ORDER BY turn.at) AS times
    FROM turn
    WHERE turn.n > 2 * ((turn.turns - $2 + 1) / 2)  -- a beginning goes with its end
    GROUP BY turn.survivor, turn.channel
)
SELECT
    told.survivor,
    (
        SELECT jsonb_object_agg(channel.channel, channel.times) FROM channel WHERE channel.survivor = told.survivor
    )::text AS refused
FROM (
    SELECT stated.survivor FROM stated
    UNION
    -- What was said of a number that was split off leaves nothing behind.
    SELECT customer.customer FROM rewards.customer WHERE customer.customer = ANY($1::bigint[]) AND customer.refused IS NOT NULL
) AS told
